PREFIX ?= /usr/local
RELEASE := .build/release

.PHONY: help setup build demo test fuzz bench install lint fmt clean
help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: ## install what is missing (Debian 12, Ubuntu 24.04)
	@scripts/setup

build: setup ## build the programs, optimised, with Swift's library inside
	swift build -c release --static-swift-stdlib

demo: build ## convert an image and run it
	@scripts/demo

test: setup ## all tests; those that need root say so where they are left out
	@scripts/test

STACKS ?= 1000000
fuzz: setup ## compare the squasher with the reference on STACKS random stacks of layers, other ones each time
	D2A_FUZZ_STACKS=$(STACKS) D2A_FUZZ_SEED=$$(date +%s%N) scripts/test -c release -Xswiftc -enable-testing --scratch-path .build-fuzz --filter FuzzTests

bench: build ## compare with skopeo, umoci and the runtimes on PATH
	bench/convert
	bench/pull
	bench/linear
	bench/start

install: ## copy what was built to $(PREFIX)
	install -D -s -t $(DESTDIR)$(PREFIX)/bin $(RELEASE)/d2a $(RELEASE)/docker2aci
	install -D -s -t $(DESTDIR)$(PREFIX)/libexec/d2a $(RELEASE)/d2a-image $(RELEASE)/d2a-stage1

lint: ## check the style
	swift format lint -r --strict Sources Tests Package.swift

fmt: ## mend the style
	swift format -r -i Sources Tests Package.swift

clean: ## remove what was built
	rm -rf .build .build-fuzz
