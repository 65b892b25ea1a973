package onvif

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of recordings.
const (
	maxRecorded      = 64 << 20 // bytes in all
	maxRecordedFiles = 10_000
	maxLine          = 4 << 20 // of a .jsonl file
)

// exchange is one recorded request with its answer.
type exchange struct {
	name    xml.Name // of the operation
	request *Node    // nil if it was not recorded
	status  int      // of HTTP; 0: not recorded
	answer  []byte
	refused bool // the answer is a fault
}

// OpenReplay reads what a real device was recorded to say: a directory or .tar.gz of
//
//	OPERATION.Request.xml with OPERATION.Response.xml or OPERATION.Error.xml, in folders
//	NAME_request.xml with NAME_response.xml
//	answers alone, as .xml
//	.jsonl with soap_action, request, response_status and response in each line
//
// or one such .jsonl or .xml file. An archive in .tar.xz has to be unpacked first.
func OpenReplay(name string) (*Replay, error) {
	files, err := readRecorded(name)
	if err != nil {
		return nil, fmt.Errorf("open ONVIF recording: %w", err)
	}
	all, err := exchanges(files)
	if err == nil && len(all) == 0 {
		err = errors.New("no SOAP answers in it")
	}
	if err != nil {
		return nil, fmt.Errorf("open ONVIF recording %s: %w", name, err)
	}
	return newReplay(all), nil
}

// recordedFiles are contents by path.
type recordedFiles struct {
	all  map[string][]byte
	size int64
}

// add reads one file, within bounds.
func (f *recordedFiles) add(name string, r io.Reader) error {
	switch strings.ToLower(path.Ext(name)) {
	case ".xml", ".jsonl":
	default:
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(r, maxRecorded-f.size+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if f.size += int64(len(b)); f.size > maxRecorded || len(f.all) == maxRecordedFiles {
		return fmt.Errorf("more than %d bytes or %d files", maxRecorded, maxRecordedFiles)
	}
	f.all[name] = b
	return nil
}

func readRecorded(name string) (map[string][]byte, error) {
	files := &recordedFiles{all: map[string][]byte{}}
	add := func(p, as string) error {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		return files.add(as, f)
	}
	info, err := os.Stat(name)
	lower := strings.ToLower(name)
	switch {
	case err != nil:
	case info.IsDir():
		err = filepath.WalkDir(name, func(p string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			return add(p, filepath.ToSlash(p))
		})
	case strings.HasSuffix(lower, ".tar.gz"), strings.HasSuffix(lower, ".tgz"):
		err = files.addArchive(name)
	case strings.HasSuffix(lower, ".xz"):
		err = fmt.Errorf("%s is packed with xz: unpack it with `tar xf` and give the directory", name)
	default:
		err = add(name, filepath.ToSlash(name))
	}
	return files.all, err
}

func (f *recordedFiles) addArchive(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
		if h.Typeflag == tar.TypeReg {
			if err := f.add(h.Name, t); err != nil {
				return err
			}
		}
	}
}

// exchanges pairs the files, in the order of their names.
func exchanges(files map[string][]byte) ([]*exchange, error) {
	var names []string
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	var all []*exchange
	for _, n := range names {
		switch {
		case strings.HasSuffix(n, ".jsonl"):
			some, err := readLines(files[n])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", n, err)
			}
			all = append(all, some...)
		case strings.HasSuffix(n, ".Request.xml"), strings.HasSuffix(n, "_request.xml"):
		default:
			if x := newExchange(files[requestOf(n)], files[n], operationOf(n)); x != nil {
				all = append(all, x)
			}
		}
	}
	// Where a device answered once and refused once, it is the answer that helps.
	answered := map[xml.Name]bool{}
	for _, x := range all {
		answered[x.name] = answered[x.name] || !x.refused
	}
	return slices.DeleteFunc(all, func(x *exchange) bool { return x.refused && answered[x.name] }), nil
}

// requestOf returns the name of the file that holds the request to an answer, and "" if there is none.
func requestOf(answer string) string {
	for _, s := range [][2]string{{".Response.xml", ".Request.xml"}, {".Error.xml", ".Request.xml"}, {"_response.xml", "_request.xml"}} {
		if base, ok := strings.CutSuffix(answer, s[0]); ok {
			return base + s[1]
		}
	}
	return ""
}

// operationOf returns the operation that a file's name tells.
func operationOf(name string) string {
	base, _, _ := strings.Cut(path.Base(name), ".")
	return base
}

// newExchange makes an exchange of a request, perhaps nil, and an answer. The operation's name is that of the request,
// or follows from the answer, or from what is told besides. It returns nil for what is no SOAP.
func newExchange(request, answer []byte, told string) *exchange {
	a, err := ParseRequest(answer)
	if err != nil {
		return nil
	}
	x := &exchange{answer: answer, refused: a.Operation.Name.Local == "Fault"}
	if r, err := ParseRequest(request); err == nil {
		x.request, x.name = r.Operation, r.Operation.Name
		return x
	}
	if local, ok := strings.CutSuffix(a.Operation.Name.Local, "Response"); ok {
		x.name = xml.Name{Space: a.Operation.Name.Space, Local: local}
		return x
	}
	x.name.Local = told
	if told == "" {
		return nil
	}
	return x
}

// readLines reads a .jsonl recording.
func readLines(b []byte) ([]*exchange, error) {
	var all []*exchange
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, maxLine)
	for n := 1; s.Scan(); n++ {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var line struct {
			Action   string `json:"soap_action"`
			Request  string `json:"request"`
			Status   int    `json:"response_status"`
			Response string `json:"response"`
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		told := strings.TrimSuffix(path.Base(line.Action), "Request")
		if x := newExchange([]byte(line.Request), []byte(line.Response), told); x != nil {
			x.status = line.Status
			all = append(all, x)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	return all, nil
}
