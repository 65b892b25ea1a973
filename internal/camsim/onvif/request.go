package onvif

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of a request.
const (
	maxBody  = 1 << 20 // bytes
	maxDepth = 32      // elements within elements
	maxNodes = 20_000  // elements
)

// Node is an element of a request.
type Node struct {
	Name     xml.Name
	Attr     []xml.Attr // without namespace declarations
	Text     string     // all character data directly inside, without white space around it
	Children []*Node
}

// child returns the first child of that local name, or nil. It may be called on nil.
func (n *Node) child(path ...string) *Node {
	for _, local := range path {
		if n == nil {
			return nil
		}
		var found *Node
		for _, c := range n.Children {
			if c.Name.Local == local {
				found = c
				break
			}
		}
		n = found
	}
	return n
}

// text returns the text of the descendant at path, "" without one.
func (n *Node) text(path ...string) string {
	if c := n.child(path...); c != nil {
		return c.Text
	}
	return ""
}

// attr returns an attribute by its local name.
func (n *Node) attr(local string) (string, bool) {
	if n == nil {
		return "", false
	}
	for _, a := range n.Attr {
		if a.Name.Local == local {
			return a.Value, true
		}
	}
	return "", false
}

// number returns the number at path, or without one the default. What is no number is InvalidArgVal.
func (n *Node) number(otherwise float64, path ...string) (float64, error) {
	c := n.child(path...)
	if c == nil {
		return otherwise, nil
	}
	return parseNumber(c.Text, path[len(path)-1])
}

func parseNumber(text, name string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= -1e9 && v <= 1e9) {
		return 0, invalid("%s is %q, which is no number", name, text)
	}
	return v, nil
}

// Request is a SOAP message.
type Request struct {
	Header    []*Node
	Operation *Node // the first element of the body
}

// header returns the first header block of that local name, or nil.
func (r *Request) header(local string) *Node {
	for _, n := range r.Header {
		if n.Name.Local == local {
			return n
		}
	}
	return nil
}

// errVersion is a message that is XML but no SOAP 1.2.
var errVersion = errors.New("not a SOAP 1.2 envelope")

// ParseRequest reads a SOAP 1.2 envelope. It refuses document type declarations, other encodings than UTF-8, and what is
// larger or deeper than a request has reason to be.
func ParseRequest(body []byte) (*Request, error) {
	root, err := parseTree(body)
	if err != nil {
		return nil, fmt.Errorf("read SOAP request: %w", err)
	}
	if root.Name.Local != "Envelope" || root.Name.Space != nsSOAP {
		return nil, fmt.Errorf("read SOAP request: %w", errVersion)
	}
	r := &Request{}
	for _, c := range root.Children {
		switch {
		case c.Name.Space != nsSOAP:
		case c.Name.Local == "Header":
			r.Header = append(r.Header, c.Children...)
		case c.Name.Local == "Body" && len(c.Children) > 0 && r.Operation == nil:
			r.Operation = c.Children[0]
		}
	}
	if r.Operation == nil {
		return nil, errors.New("read SOAP request: the body is empty")
	}
	return r, nil
}

// parseTree reads one XML document.
func parseTree(body []byte) (*Node, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("%d bytes, at most %d", len(body), maxBody)
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	var root *Node
	var open []*Node
	var texts [maxDepth][]byte // of the open elements; pieces are joined once, as there may be many
	for nodes := 0; ; {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && root != nil && len(open) == 0 {
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, errors.New("a document type declaration")
		case xml.StartElement:
			if nodes++; nodes > maxNodes || len(open) == maxDepth {
				return nil, fmt.Errorf("more than %d elements, or deeper than %d", maxNodes, maxDepth)
			}
			n := &Node{Name: t.Name, Attr: plainAttributes(t.Attr)}
			switch {
			case len(open) > 0:
				top := open[len(open)-1]
				top.Children = append(top.Children, n)
			case root != nil:
				return nil, errors.New("a second document element")
			default:
				root = n
			}
			texts[len(open)] = texts[len(open)][:0]
			open = append(open, n)
		case xml.EndElement:
			last := len(open) - 1
			open[last].Text = strings.TrimSpace(string(texts[last]))
			open = open[:last]
		case xml.CharData:
			if last := len(open) - 1; last >= 0 {
				texts[last] = append(texts[last], t...)
			}
		}
	}
}

// plainAttributes leaves out the declarations of namespaces.
func plainAttributes(all []xml.Attr) []xml.Attr {
	var kept []xml.Attr
	for _, a := range all {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
			kept = append(kept, a)
		}
	}
	return kept
}
