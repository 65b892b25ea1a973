package api

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strings"

	"nightjar/internal/store/catalog"
	"nightjar/internal/store/recording"
	"nightjar/internal/store/sampledir"
	"nightjar/internal/watch/deliver"
	"nightjar/internal/watch/view"
)

// problem is an error whose status and sentence were chosen where it arose.
type problem struct {
	Status int
	Detail string
}

func (p problem) Error() string { return p.Detail }

// table is the one place that chooses a status for an error of another package; the first that matches counts.
var table = []struct {
	is     error
	status int
}{
	{catalog.ErrNotFound, http.StatusNotFound},
	{catalog.ErrExists, http.StatusConflict},
	{catalog.ErrInUse, http.StatusConflict},
	{catalog.ErrInvalid, http.StatusUnprocessableEntity},
	{catalog.ErrReadOnly, http.StatusConflict},
	{view.ErrEmpty, http.StatusNotFound},
	{view.ErrFuture, http.StatusNotFound},
	{view.ErrStream, http.StatusNotFound},
	{view.ErrOrder, http.StatusBadRequest},
	{view.ErrTooLong, http.StatusBadRequest},
	{fs.ErrNotExist, http.StatusNotFound},
	{context.DeadlineExceeded, http.StatusServiceUnavailable},
}

// problemOf chooses the answer to an error. What is not in the table is ours to mend: the answer says no more than that.
func problemOf(err error) problem {
	var p problem
	if errors.As(err, &p) {
		return p
	}
	for _, line := range table {
		if errors.Is(err, line.is) {
			// The sentence says it already; the name of the error is for programs.
			return problem{line.status, strings.TrimSuffix(err.Error(), ": "+line.is.Error())}
		}
	}
	var mismatch *sampledir.MismatchError
	var reason *recording.Error
	var query *deliver.QueryError
	switch {
	case errors.As(err, &query):
		return problem{http.StatusBadRequest, err.Error()}
	case errors.As(err, &mismatch):
		return problem{http.StatusConflict, err.Error()}
	case errors.As(err, &reason):
		return problem{http.StatusServiceUnavailable, err.Error()}
	}
	return problem{http.StatusInternalServerError, "something went wrong inside the server; its log has the details"}
}

// writeProblem answers with a problem document (RFC 9457 section 3).
func writeProblem(w http.ResponseWriter, p problem) {
	text, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(p.Status), p.Status, p.Detail})
	if err != nil {
		http.Error(w, p.Detail, p.Status)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	w.Write(append(text, '\n'))
}
