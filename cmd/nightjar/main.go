// Command nightjar records IP cameras and plays back what it recorded. `nightjar help` lists its verbs; docs/ref/cli.md
// says what each does. Without arguments it prints the state of this machine's server in five lines.
//
// Exit codes: 0 done, 1 it did not work (the sentence on standard error says why; for check: there are findings),
// 2 the command line can't be understood (for check: it could not check).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// version is set when the program is built.
var version = "unknown"

// errUsage is wrapped by errors of the command line itself.
var errUsage = errors.New("see `nightjar help`")

// exitError ends the program with a code and without another sentence.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// terminal is where a verb writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// verb is one word of the command line.
type verb struct {
	name string // one or two words
	args string
	text string
	run  func(ctx context.Context, t terminal, v *verb, args []string) error
}

// verbs lists what works, in the order of the manual.
func verbs() []verb {
	return []verb{
		{"demo", "[--data DIR] [--listen HOST:PORT] [--cameras N]", "records simulated cameras and shows them on a page; no set-up, nothing kept unless --data names a directory", runDemo},
		{"run", "[--data DIR] [--listen HOST:PORT] [--config FILE] [--read-only]", "runs the recorder until it is stopped by SIGTERM or Ctrl-C", runRun},
		{"init", "[--data DIR]", "makes the data directory: an empty catalog and a sample file directory", runInit},
		{"check", "[--data DIR] [--level presence|size|hash] [--json]", "compares what is on the disks with the catalog; changes nothing", runCheck},
		{"camera add", "NAME --main URL [--sub URL] [--ext URL] [--username U --password-stdin] [--transport auto|tcp|udp] [--audio on|off] [--priority 1..10] [--keep-days N] [--keep-bytes SIZE] [--data DIR]", "adds a camera and records it from now on", runCameraAdd},
		{"camera list", "[--data DIR] [--json]", "lists cameras, what they do and what is kept of them", runCameraList},
		{"camera remove", "NAME --yes [--data DIR]", "removes a camera with all its recordings; without --yes it tells what would go", runCameraRemove},
		{"camera test", "URL [--username U --password-stdin] [--transport auto|tcp|udp] [--seconds N] [--json]", "connects to a camera as a recording would and tells what it sends", runCameraTest},
		{"dir add", "PATH [--data DIR]", "adds a sample file directory; it must exist and be empty", runDirAdd},
		{"dir list", "[--data DIR] [--json]", "lists sample file directories with their space", runDirList},
		{"dir remove", "PATH [--data DIR]", "removes a sample file directory that holds no recordings", runDirRemove},
		{"export", "CAMERA/STREAM --start TIME --end TIME -o FILE [--audio on|off] [--gaps keep|close] [--data DIR | --from SAMPLE_DIR]", "writes a span as one .mp4; times such as \"yesterday 14:05\" or \"10 minutes ago\"", runExport},
		{"version", "", "prints version, build and library versions", runVersion},
		{"help", "[VERB]", "prints this list, or one verb's manual", runHelp},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once: what was complete is safe all the same.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, terminal{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, t terminal, args []string) int {
	v, rest := find(args)
	if v == nil {
		fmt.Fprintf(t.err, "nightjar: there is no verb %q; `nightjar help` lists them\n", strings.Join(args[:min(2, len(args))], " "))
		return 2
	}
	err := v.run(ctx, t, v, rest)
	var code exitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(t.err, "nightjar %s: %v\n", v.name, err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// find returns the verb that args begin with and what follows it.
func find(args []string) (*verb, []string) {
	if len(args) == 0 {
		return &verb{name: "status", run: runStatus}, nil
	}
	if slices.Contains([]string{"-h", "--help", "-help"}, args[0]) {
		args = []string{"help"}
	}
	all := verbs()
	for words := min(2, len(args)); words > 0; words-- {
		name := strings.Join(args[:words], " ")
		for i := range all {
			if all[i].name == name {
				return &all[i], args[words:]
			}
		}
	}
	return nil, args
}

// flags returns the flag set of a verb; its help is the verb's manual.
func (v *verb) flags(t terminal) *flag.FlagSet {
	f := flag.NewFlagSet("nightjar "+v.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {
		fmt.Fprintf(t.out, "usage: nightjar %s %s\n\n%s.\n", v.name, v.args, v.text)
		listed := false
		f.VisitAll(func(x *flag.Flag) {
			if !listed {
				fmt.Fprintln(t.out)
				listed = true
			}
			text := x.Usage
			if x.DefValue != "" && x.DefValue != "false" && x.DefValue != "0" {
				text += " (default " + x.DefValue + ")"
			}
			dashes := "--"
			if len(x.Name) == 1 {
				dashes = "-"
			}
			fmt.Fprintf(t.out, "  %s%-16s %s\n", dashes, x.Name, text)
		})
	}
	return f
}

// parse reads flags and exactly want arguments, in any order.
func parse(f *flag.FlagSet, args []string, want ...string) ([]string, error) {
	var plain []string
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, fmt.Errorf("%w; %w", err, errUsage)
		}
		if f.NArg() == 0 {
			break
		}
		plain = append(plain, f.Arg(0))
		args = f.Args()[1:]
	}
	if len(plain) < len(want) {
		return nil, fmt.Errorf("%s is missing; %w", want[len(plain)], errUsage)
	}
	if len(plain) > len(want) {
		return nil, fmt.Errorf("%q is too much; %w", plain[len(want)], errUsage)
	}
	return plain, nil
}

func runHelp(_ context.Context, t terminal, _ *verb, args []string) error {
	if len(args) > 0 {
		v, _ := find(args)
		if v == nil {
			return fmt.Errorf("there is no verb %q; %w", strings.Join(args, " "), errUsage)
		}
		return v.run(context.Background(), t, v, []string{"--help"})
	}
	fmt.Fprint(t.out, "Nightjar records IP cameras as they send and plays back what it recorded.\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(t.out, "  %-14s %s\n", v.name, v.text)
	}
	fmt.Fprint(t.out, "\n`nightjar help VERB` prints a verb's flags. Without a verb: the state of the server in five lines.\n")
	return nil
}
