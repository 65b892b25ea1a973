package onvif

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The namespaces of what we read and write, by the prefixes of what we write.
const (
	nsSOAP    = "http://www.w3.org/2003/05/soap-envelope"
	nsWSA     = "http://www.w3.org/2005/08/addressing"
	nsTT      = "http://www.onvif.org/ver10/schema"
	nsDevice  = "http://www.onvif.org/ver10/device/wsdl"
	nsMedia   = "http://www.onvif.org/ver10/media/wsdl"
	nsMedia2  = "http://www.onvif.org/ver20/media/wsdl"
	nsEvents  = "http://www.onvif.org/ver10/events/wsdl"
	nsPTZ     = "http://www.onvif.org/ver20/ptz/wsdl"
	nsImaging = "http://www.onvif.org/ver20/imaging/wsdl"
	nsNotify  = "http://docs.oasis-open.org/wsn/b-2"
	nsTopics  = "http://www.onvif.org/ver10/topics"
	nsError   = "http://www.onvif.org/ver10/error"
	nsWSTop   = "http://docs.oasis-open.org/wsn/t-1"
)

var prefixes = []struct{ prefix, space string }{
	{"s", nsSOAP}, {"a", nsWSA}, {"tt", nsTT}, {"tds", nsDevice}, {"trt", nsMedia}, {"tr2", nsMedia2}, {"tev", nsEvents},
	{"tptz", nsPTZ}, {"timg", nsImaging}, {"wsnt", nsNotify}, {"tns1", nsTopics}, {"ter", nsError}, {"wstop", nsWSTop},
}

// envelopeStart opens an envelope with all namespaces declared.
var envelopeStart = func() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<s:Envelope")
	for _, p := range prefixes {
		fmt.Fprintf(&b, ` xmlns:%s="%s"`, p.prefix, p.space)
	}
	b.WriteString(">")
	return b.String()
}()

// writer builds the body of an answer. Names are written as they are, with the prefixes above; values are escaped.
type writer struct{ b strings.Builder }

// open starts an element; attributes are pairs of name and value.
func (w *writer) open(name string, attributes ...string) {
	w.start(name, attributes)
	w.b.WriteByte('>')
}

func (w *writer) start(name string, attributes []string) {
	w.b.WriteByte('<')
	w.b.WriteString(name)
	for i := 0; i+1 < len(attributes); i += 2 {
		w.b.WriteByte(' ')
		w.b.WriteString(attributes[i])
		w.b.WriteString(`="`)
		w.escape(attributes[i+1])
		w.b.WriteByte('"')
	}
}

func (w *writer) shut(name string) {
	w.b.WriteString("</")
	w.b.WriteString(name)
	w.b.WriteByte('>')
}

// within writes an element whose content f writes.
func (w *writer) within(name string, f func(), attributes ...string) {
	w.open(name, attributes...)
	f()
	w.shut(name)
}

// empty writes an element with attributes alone.
func (w *writer) empty(name string, attributes ...string) {
	w.start(name, attributes)
	w.b.WriteString("/>")
}

// text writes an element with a value: a string, number, bool or time.
func (w *writer) text(name string, value any, attributes ...string) {
	w.open(name, attributes...)
	w.escape(format(value))
	w.shut(name)
}

func (w *writer) escape(s string) {
	xml.EscapeText(&w.b, []byte(s)) // a strings.Builder takes everything
}

func format(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case time.Time:
		return timestamp(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(value)
}

// timestamp is an xs:dateTime in UTC, to the second as most devices write it.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// envelope returns a whole message around a body. Action and relatesTo are told when they are not empty.
func envelope(action, relatesTo, body string) []byte {
	var w writer
	w.b.WriteString(envelopeStart)
	w.within("s:Header", func() {
		if action != "" {
			w.text("a:Action", action)
		}
		if relatesTo != "" {
			w.text("a:RelatesTo", relatesTo)
		}
	})
	w.within("s:Body", func() { w.b.WriteString(body) })
	w.b.WriteString("</s:Envelope>\n")
	return []byte(w.b.String())
}
