# Nightjar's targets; `make help` lists them. Settings: ARGS (flags for demo), STRICT=1 (times count as on a quiet machine),
# FUZZTIME (per target), SECONDS_PER_RUN (bench).

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION)
BUILD    := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
FUZZTIME ?= 60s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

export GOFLAGS := $(GOFLAGS) -mod=readonly

.DEFAULT_GOAL := help
.PHONY: help demo build test check race test32 lint fuzz crash golden bench soak e2e ui docs cross release judges need-go

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

need-go:
	@command -v $(GO) >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/dl/ or your distribution's package golang"; exit 1; }

build: need-go ## build bin/nightjar and bin/camsim
	$(BUILD) -o bin/nightjar ./cmd/nightjar
	$(BUILD) -o bin/camsim ./cmd/camsim

demo: build ## record two simulated cameras and open the web page (ARGS='--data DIR --listen HOST:PORT')
	exec bin/nightjar demo $(ARGS)

test: need-go ## all quick tests (at most 60 s on two cores after the build)
	$(GO) test -tags invariants ./...

race: need-go ## the quick tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -tags invariants ./...

test32: need-go ## the quick tests as a 32-bit program
	CGO_ENABLED=0 GOARCH=386 $(GO) test -tags invariants ./...

lint: need-go ## vet, formatting, staticcheck and the rules of the house
	@unformatted=$$(gofmt -l cmd internal); [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet -tags invariants ./...
	$(GO) run $(STATICCHECK) -tags invariants ./...
	$(GO) test ./internal/lint

check: build lint test race test32 ## everything to run before handing in

fuzz: need-go ## each fuzz target for FUZZTIME
	scripts/fuzz $(FUZZTIME)

crash: need-go ## crash and fault enumeration of the storage engine (at most 5 min)
	NIGHTJAR_LONG=1 $(GO) test -count=1 -timeout 20m -run 'Crash|Fault|Kill|Ext4' ./internal/crashfs/... ./internal/store/... ./internal/server/nvr/...

golden: need-go ## rewrite golden files from what the code does now; read the diff before committing
	$(GO) test ./internal/media/... ./internal/store/... ./internal/watch/... -run Golden -update

judges: need-go ## ffmpeg, GStreamer, mkvmerge, VLC and Chromium on what we make; fails if one is missing
	NIGHTJAR_REQUIRE_JUDGES=1 $(GO) test -count=1 -timeout 20m ./internal/judge/... ./internal/camsim/... ./internal/watch/...

e2e: build ## the built programs against simulated cameras, whole walks (STRICT=1: long forms)
	NIGHTJAR_E2E=1 NIGHTJAR_STRICT=$(STRICT) NIGHTJAR_REQUIRE_JUDGES=1 $(GO) test -count=1 -timeout 60m ./cmd/nightjar/...

bench: build ## what recording costs, beside ffmpeg and the C reference in the same run
	scripts/bench

soak: build ## what takes long: kill -9 loops, ten-minute recordings, four simulated hours and more
	NIGHTJAR_LONG=1 NIGHTJAR_SOAK=1 NIGHTJAR_E2E=1 NIGHTJAR_STRICT=1 $(GO) test -count=1 -timeout 120m ./internal/... ./cmd/...

ui: ## build the web page's files (they are plain files so far: nothing to build)
	@echo "internal/server/webui holds plain HTML, CSS and JavaScript; nothing needs building"

docs: need-go ## check that documents and code agree
	$(GO) test -count=1 -run 'Links|Readme|Doc|Format|OpenAPI' ./...

cross: need-go ## build for every supported machine, or for TARGETS
	TARGETS='$(TARGETS)' scripts/cross

release: cross ## archives and checksums of every supported machine in dist/
	scripts/release $(VERSION)
