PREFIX ?= /usr/local
RELEASE := .build/release
MANUALS := .build/manuals
HELPERS := d2a-image d2a-metadata d2a-probe d2a-stage1

.PHONY: help setup build demo test fuzz soak sanitize coverage bench manuals install deb tarball lint fmt clean
help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: ## install what is missing (Debian 12, Ubuntu 24.04)
	@scripts/setup

build: setup ## build the programs, optimised, with Swift's library inside
	swift build -c release --static-swift-stdlib

demo: build ## convert an image and run it
	@scripts/demo

test: build lint ## all tests, of the programs as they are installed; those that need root say so where they are left out
	@D2A_PROGRAMS=$(abspath $(RELEASE)) scripts/test
	@$(MAKE) -s deb && scripts/test-package && scripts/test-image

STACKS ?= 1000000
SECONDS ?= 60
fuzz: setup ## look for input that breaks a parser, SECONDS each, and for stacks of layers, STACKS of them, that the squasher gets wrong
	scripts/fuzz $(SECONDS)
	D2A_FUZZ_STACKS=$(STACKS) D2A_FUZZ_SEED=$$(date +%s%N) scripts/test -c release -Xswiftc -enable-testing --scratch-path .build-fuzz --filter FuzzTests

soak: build ## fetch, convert, run and collect garbage for SECONDS while things are killed and the disk fills
	scripts/soak $(SECONDS)

sanitize: setup ## the unit tests with the sanitizers of addresses and of threads
	scripts/sanitize

coverage: setup ## what part of each module the unit tests run
	scripts/coverage

bench: build ## compare with skopeo, umoci and the runtimes on PATH
	bench/convert
	bench/batch
	bench/pull
	bench/import
	bench/linear
	bench/start

manuals: build ## man pages and completions, made from the commands
	@scripts/manuals

install: ## copy what was built to $(PREFIX), with the manuals where they were made
	install -D -s -t $(DESTDIR)$(PREFIX)/bin $(RELEASE)/d2a $(RELEASE)/docker2aci
	install -D -s -t $(DESTDIR)$(PREFIX)/libexec/d2a $(HELPERS:%=$(RELEASE)/%)
	[ ! -d $(MANUALS) ] || { install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(MANUALS)/man1/* && \
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(MANUALS)/bash/* && \
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions $(MANUALS)/zsh/* && \
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(MANUALS)/fish/*; }

deb: manuals ## a Debian package of what was built, in .build/packages
	@scripts/package deb

tarball: manuals ## the programs and manuals in a tar file that unpacks over /usr/local
	@scripts/package tarball

lint: ## check the style
	@swift format lint -r --strict Sources Tests Package.swift

fmt: ## mend the style
	swift format -r -i Sources Tests Package.swift

clean: ## remove what was built
	rm -rf .build .build-fuzz .build-address .build-thread .build-coverage*
