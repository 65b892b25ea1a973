package camsim

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestReadIncoming(t *testing.T) {
	in := "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" +
		"$\x01\x00\x03abc" +
		"SET_PARAMETER rtsp://h/cam0 RTSP/1.0\nCSeq:2\nSession: 12 ;timeout=60\nContent-Length: 4\n\nbody\r\n" +
		"GET_PARAMETER rtsp://h/cam0 RTSP/1.0\r\ncseq: 3\r\nUser-Agent: a: b\r\n\r\n"
	br := bufio.NewReaderSize(strings.NewReader(in), 16)
	scratch := make([]byte, 1<<16)
	next := func() incoming {
		t.Helper()
		x, err := readIncoming(br, scratch)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	if r := next().request; r.method != "OPTIONS" || r.uri != "*" || r.get("cseq") != "1" {
		t.Errorf("%+v", r)
	}
	if x := next(); x.request != nil || x.channel != 1 || string(x.packet) != "abc" {
		t.Errorf("%+v", x)
	}
	if r := next().request; r.session() != "12" || string(r.body) != "body" {
		t.Errorf("%+v", r)
	}
	if r := next().request; r.get("User-Agent") != "a: b" || r.get("CSeq") != "3" {
		t.Errorf("%+v", r)
	}
	if _, err := readIncoming(br, scratch); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	for name, in := range map[string]string{
		"no version":       "PLAY rtsp://h/x\r\n\r\n",
		"HTTP":             "GET / HTTP/1.1\r\n\r\n",
		"RTSP 2":           "PLAY rtsp://h/x RTSP/2.0\r\n\r\n",
		"odd method":       "PL(AY rtsp://h/x RTSP/1.0\r\n\r\n",
		"no URI":           "PLAY  RTSP/1.0\r\n\r\n",
		"no colon":         "PLAY * RTSP/1.0\r\nCSeq 1\r\n\r\n",
		"folded":           "PLAY * RTSP/1.0\r\nCSeq: 1\r\n more: x\r\n\r\n",
		"length":           "PLAY * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
		"huge body":        "PLAY * RTSP/1.0\r\nContent-Length: 70000\r\n\r\n",
		"short body":       "PLAY * RTSP/1.0\r\nContent-Length: 7\r\n\r\nabc",
		"cut off":          "PLAY * RTSP/1.0\r\nCSeq: 1\r\n",
		"endless head":     "PLAY * RTSP/1.0\r\nX: " + strings.Repeat("y", maxHead) + "\r\n\r\n",
		"too many headers": "PLAY * RTSP/1.0\r\n" + strings.Repeat("X: y\r\n", maxHeaders+1) + "\r\n",
		"cut packet":       "$\x00\x00\x09abc",
		"bare return":      "PLAY * RTSP/1.0\r\nX: a\rb\r\n\r\n",
	} {
		if x, err := readIncoming(bufio.NewReader(strings.NewReader(in)), make([]byte, 1<<16)); err == nil {
			t.Errorf("%s: read as %+v", name, x.request)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("DESCRIBE rtsp://h/cam0?x=1 RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"))
	f.Add([]byte("SETUP rtsp://h/cam0/trackID=0 RTSP/1.0\nCSeq: 2\nTransport: RTP/AVP/TCP;interleaved=0-1,RTP/AVP;client_port=5-6\n\n"))
	f.Add([]byte("PLAY * RTSP/1.0\r\nContent-Length: 2\r\n\r\nab"))
	f.Add([]byte("$\x00\x00\x02abPAUSE x RTSP/1.0\r\nAuthorization: Digest a=\"b\\\"\", c=d\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		br := bufio.NewReader(bytes.NewReader(data))
		scratch := make([]byte, 1<<16)
		for {
			x, err := readIncoming(br, scratch)
			if err != nil {
				return
			}
			if x.request == nil {
				continue
			}
			again, err := readIncoming(bufio.NewReader(bytes.NewReader(x.request.append(nil))), scratch)
			if err != nil {
				t.Fatalf("%+v cannot be read again: %v", x.request, err)
			}
			if len(again.request.body) == 0 && len(x.request.body) == 0 {
				again.request.body = x.request.body
			}
			if !reflect.DeepEqual(again.request, x.request) {
				t.Fatalf("%+v was read again as %+v", x.request, again.request)
			}
			parseTransports(x.request.get("Transport"))
			parseParameters(x.request.get("Authorization"))
			splitURI(x.request.uri)
		}
	})
}

func TestParseTransports(t *testing.T) {
	got, err := parseTransports("RTP/AVP/TCP;unicast;interleaved=4-5, RTP/AVP;unicast;client_port=6000-6001;mode=play ,RTP/AVP;multicast,RTP/SAVP;unicast,RTP/AVP/TCP")
	if err != nil {
		t.Fatal(err)
	}
	want := []transport{
		{tcp: true, channels: [2]byte{4, 5}, chosen: true, rest: []string{"unicast"}},
		{ports: [2]int{6000, 6001}, rest: []string{"unicast", "mode=play"}},
		{multicast: true}, {secure: true, rest: []string{"unicast"}}, {tcp: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, bad := range []string{"RTP/AVP/TCP;interleaved=0-256", "RTP/AVP;client_port=x", "RTP/AVP;client_port=-1", "RTP/AVP;client_port=70000-70001"} {
		if _, err := parseTransports(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestSplitURI(t *testing.T) {
	for uri, want := range map[string][2]string{
		"rtsp://h:554/cam0":                       {"/cam0", ""},
		"rtsp://h/cam0/":                          {"/cam0", ""},
		"rtsp://h":                                {"/", ""},
		"rtsp://u:p@h/cam0/sub/trackID=1":         {"/cam0/sub", "trackID=1"},
		"rtsp://h/cam0?a=b":                       {"/cam0", ""},
		"rtsp://h/cam0?a=b/trackID=0":             {"/cam0", "trackID=0"},
		"rtsp://h/cam0/trackID=0?a=b":             {"/cam0", "trackID=0"},
		"rtsp://h/cam0/trackID=0/":                {"/cam0", "trackID=0"},
		"*":                                       {"/*", ""},
		"rtsp://h/cam0/?profile=1&trackID=2&x=yz": {"/cam0", "trackID=2"},
	} {
		if path, control := splitURI(uri); path != want[0] || control != want[1] {
			t.Errorf("%s: %q %q, want %q", uri, path, control, want)
		}
	}
}
