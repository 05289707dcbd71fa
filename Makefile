# SPDX-License-Identifier: Apache-2.0
#
# `make run` boots the default guest, `make test` runs every test; both install and build what they need first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
MARTLET := .build/release/martlet
MONITOR := .build/release/martlet-monitor
RUNTIME := .build/release/martlet-runtime
# One file to install, whatever Swift libraries the host has, that starts fast and takes little memory: docs/performance.md
# has what each flag gives. Without --disable-local-rpath a static PIE does not start.
RELEASE_FLAGS := -c release --static-swift-stdlib --disable-local-rpath \
    -Xswiftc -use-ld=lld -Xswiftc -Xclang-linker -Xswiftc -static-pie -Xlinker -z -Xlinker pack-relative-relocs \
    -Xlinker --entry=chost_entry \
    -Xswiftc -Xfrontend -Xswiftc -function-sections \
    -Xswiftc -Xfrontend -Xswiftc -disable-concrete-type-metadata-mangled-name-accessors \
    -Xlinker --symbol-ordering-file=$(CURDIR)/scripts/symbol-order.txt -Xlinker --no-warn-symbol-ordering
COMPLETIONS = $(addprefix $(DESTDIR)$(PREFIX)/share/, bash-completion/completions/martlet \
    zsh/site-functions/_martlet fish/vendor_completions.d/martlet.fish)
SWIFT_SOURCES := Package.swift Sources Tests Benchmarks/Package.swift Benchmarks/Sources Benchmarks/martlet-device-bench \
    docs/examples

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: run
run: setup build guest-images ## Boot the default guest to a shell on this terminal
	$(MARTLET) run

.PHONY: test
test: setup guest-images-all ## Run every test
	scripts/test.sh

.PHONY: test-engines
test-engines: setup build guest-images ## Drive podman, docker and containerd (some minutes): docs/containers.md
	@scripts/install-packages.sh docker.io containerd
	scripts/test-moments.py $(RUNTIME)
	scripts/test-engines.py $(RUNTIME) $(ENGINES)

.PHONY: setup
setup: ## Install the Debian packages that building and testing need
	@scripts/install-packages.sh

.PHONY: build
build: ## Build the command, its monitor and its OCI runtime, optimised, in .build/release
	swift build $(RELEASE_FLAGS) --product martlet
	swift build $(RELEASE_FLAGS) --product martlet-monitor
	swift build $(RELEASE_FLAGS) --product martlet-runtime

.PHONY: guest-images
guest-images: ## Build the default guest for one vCPU
	guest-images/kernel.sh up
	guest-images/initramfs.sh
	guest-images/root.sh
	guest-images/compare.sh
	@install -m 644 guest-images/cmdline* guest-images/build/

.PHONY: guest-images-all
guest-images-all: guest-images ## Build all guest images: also for several vCPUs, for tests, and bzImages of every compression
	guest-images/root.sh testing
	guest-images/kernel.sh smp
	guest-images/bzimages.sh

.PHONY: check
check: ## Check formatting, licence lines and shell scripts
	swift format lint --strict -r $(SWIFT_SOURCES)
	scripts/check-licences.sh
	shellcheck $$(git ls-files '*.sh' .ci/run)

.PHONY: format
format: ## Format all Swift sources
	swift format -i -r $(SWIFT_SOURCES)

.PHONY: fuzz
fuzz: setup ## Look for inputs that break TARGET, for SECONDS: docs/fuzzing.md
	scripts/fuzz.sh $(TARGET) $(SECONDS)

.PHONY: torture
torture: setup build ## Let hostile guests do OPERATIONS on the devices (a million; some minutes), from a seed of SEED
	scripts/torture.sh $(OPERATIONS) $(SEED)

.PHONY: example
example: setup guest-images ## Build and run docs/examples/HelloGuest, a package that uses the library
	swift build --package-path docs/examples/HelloGuest
	docs/examples/HelloGuest/.build/debug/HelloGuest guest-images/build/vmlinux guest-images/build/root.ext4

.PHONY: bench
bench: setup build guest-images-all ## Measure what docs/performance.md states
	MARTLET_BENCH=1 swift build $(RELEASE_FLAGS) --product martlet-device-bench
	swift build -c release --package-path Benchmarks
	Benchmarks/.build/release/martlet-bench --martlet $(MARTLET) \
	    --devices .build/release/martlet-device-bench $(BENCH_FLAGS)

.PHONY: symbol-order
symbol-order: build guest-images ## Record what a restore and a running monitor call, for the linker to lay it side by side
	scripts/symbol-order.py $(MARTLET) $(MONITOR) guest-images/build > scripts/symbol-order.new
	mv scripts/symbol-order.new scripts/symbol-order.txt
	rm -f $(MARTLET) $(MONITOR)

.PHONY: chaos
chaos: setup build ## Kill commands and monitors of 30 machines at random, on a full file system: docs/fuzzing.md
	scripts/chaos.py $(MARTLET) $(CHAOS_FLAGS)

.PHONY: torture-snapshots
torture-snapshots: setup build guest-images ## Save a machine at random moments and kill it, again and again: docs/snapshots.md
	scripts/torture-snapshots.py $(MARTLET) $(TORTURE_FLAGS)

.PHONY: compare
compare: setup build guest-images ## Compare a virtual machine with a container and a process: docs/comparison.md
	$(MARTLET) compare $(COMPARE_FLAGS)

.PHONY: install
install: build guest-images-all ## Install the command, its manual and completions, and the default guest under PREFIX
	install -D -m 755 $(MARTLET) $(DESTDIR)$(PREFIX)/bin/martlet
	install -D -m 755 $(RUNTIME) $(DESTDIR)$(PREFIX)/bin/martlet-runtime
	install -D -m 755 $(MONITOR) $(DESTDIR)$(PREFIX)/libexec/martlet/martlet-monitor
	ln -f $(DESTDIR)$(PREFIX)/libexec/martlet/martlet-monitor $(DESTDIR)$(PREFIX)/libexec/martlet/firecracker
	install -D -m 644 docs/man/martlet.1 $(DESTDIR)$(PREFIX)/share/man/man1/martlet.1
	install -d $(dir $(COMPLETIONS))
	$(MARTLET) --generate-completion-script bash > $(word 1,$(COMPLETIONS))
	$(MARTLET) --generate-completion-script zsh > $(word 2,$(COMPLETIONS))
	$(MARTLET) --generate-completion-script fish > $(word 3,$(COMPLETIONS))
	install -d $(DESTDIR)$(PREFIX)/share/martlet
	install -m 644 guest-images/build/{vmlinux,vmlinux-smp,root.ext4,container.cpio,cmdline*,compare-data.ext4} $(DESTDIR)$(PREFIX)/share/martlet/
	install -m 755 guest-images/build/compare-{subject,init} $(DESTDIR)$(PREFIX)/share/martlet/
	@# The user for `--user martlet`; a package of a distribution makes its own.
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && ! getent passwd martlet > /dev/null; then \
		useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin martlet; fi

.PHONY: uninstall
uninstall: ## Remove what `make install` installed, but for the user
	rm -f $(DESTDIR)$(PREFIX)/bin/martlet{,-runtime} $(DESTDIR)$(PREFIX)/share/man/man1/martlet.1 $(COMPLETIONS)
	rm -rf $(DESTDIR)$(PREFIX)/libexec/martlet $(DESTDIR)$(PREFIX)/share/martlet

.PHONY: clean
clean: ## Remove what was built here; the cache of guest images stays
	rm -rf .build Benchmarks/.build docs/examples/HelloGuest/.build guest-images/build
