.PHONY: help setup build test lint fmt clean
help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: ## install what is missing (Debian 12, Ubuntu 24.04)
	@scripts/setup

build: setup ## build the programs, optimised, with Swift's library inside
	swift build -c release --static-swift-stdlib

test: setup ## all tests
	swift test

lint: ## check the style
	swift format lint -r --strict Sources Tests Package.swift

fmt: ## mend the style
	swift format -r -i Sources Tests Package.swift

clean: ## remove what was built
	rm -rf .build
