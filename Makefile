# The few verbs; Meson does the building. `make help` lists them.

RELEASE = build/release
ASAN = build/asan
FUZZ = build/fuzz
FUZZ_SECONDS ?= 60
STAGES ?= style program flow conformance web
LISTEN ?= $(or $(ADJUTANT_LISTEN),127.0.0.1:8080)

.DEFAULT_GOAL := help
.PHONY: help run demo build build-tests test check format bench bench-web screenshots fuzz valgrind clean

help:
	@echo 'make run     install what is missing, build, serve on http://$(LISTEN)'
	@echo 'make demo    the same with a made-up model: everything works, no key is needed'
	@echo 'make build   the program, at build/adjutant'
	@echo 'make build-tests the conformance suite'"'"'s client and server under test, at build/tests/'
	@echo 'make test    install what the tests need, build with sanitizers, run every test'
	@echo 'make check   style: formatting, floors, names, shell scripts'
	@echo 'make format  lay the C files and the web app out as the style has it'
	@echo 'make bench   measure; prints a table'
	@echo 'make bench-web what the web app costs a slow phone; prints a table'
	@echo 'make screenshots docs/screens: each screen of the web app, phone and desktop, light and dark'
	@echo 'make valgrind the flow tests of the whole turn, without sanitizers, under valgrind'
	@echo 'make fuzz    each fuzzer for FUZZ_SECONDS ($(FUZZ_SECONDS))'
	@echo 'make clean   remove build/'

$(RELEASE)/build.ninja:
	@meson setup $(RELEASE) --buildtype=debugoptimized -Doptimization=2 >$(RELEASE).log 2>&1 || { cat $(RELEASE).log; exit 1; }

build: packages-build
	@mkdir -p build
	@$(MAKE) --no-print-directory $(RELEASE)/build.ninja
	@ninja -C $(RELEASE) --quiet bin/adjutant
	@install -m 755 $(RELEASE)/bin/adjutant build/adjutant

build-tests: packages-build
	@mkdir -p build/tests
	@$(MAKE) --no-print-directory $(RELEASE)/build.ninja
	@ninja -C $(RELEASE) --quiet tests/conformance/mcp_conformance_client tests/conformance/mcp_conformance_server
	@install -m 755 $(RELEASE)/tests/conformance/mcp_conformance_client $(RELEASE)/tests/conformance/mcp_conformance_server build/tests/

.PHONY: packages-%
packages-%:
	@tools/install-packages $*

run: packages-run build
	@exec build/adjutant serve --listen $(LISTEN)

demo: packages-run build
	@ninja -C $(RELEASE) --quiet tests/fake/fake_model
	@exec tools/demo $(LISTEN)

test: packages-build packages-run packages-style packages-test $(if $(filter fuzz,$(STAGES)),packages-fuzz)
	@ASAN=$(ASAN) FUZZ=$(FUZZ) FUZZ_SECONDS=$(FUZZ_SECONDS) tools/run-tests $(STAGES)

check: packages-style
	@tools/run-tests style

format: packages-style
	@find src bin servers tests -name node_modules -prune -o -name '*.[ch]' -print 2>/dev/null | xargs clang-format -i
	@tools/with-node tools/npm-ci web && tools/with-node npm --prefix web run --silent format

bench: build packages-bench
	@ninja -C $(RELEASE) --quiet tests/fake/fake_model tests/bench/load tests/bench/bench_bridge tests/conformance/mcp_conformance_server
	@tests/bench/run

# What the tests of the web app need, for what is made with its harness.
.PHONY: web-harness
web-harness: build packages-test
	@ninja -C $(RELEASE) --quiet tests/fake/fake_model
	@tools/with-node tools/npm-ci tests/web && tools/with-node tools/npm-ci tests/flow

bench-web: web-harness
	@cd tests/web && ADJUTANT_BUILD=$(CURDIR)/$(RELEASE) ../../tools/with-node node measure.mjs

screenshots: web-harness
	@cd tests/web && ADJUTANT_BUILD=$(CURDIR)/$(RELEASE) ../../tools/with-node node screenshots.mjs

fuzz: packages-build packages-fuzz
	@FUZZ=$(FUZZ) FUZZ_SECONDS=$(FUZZ_SECONDS) tools/run-tests fuzz

# The sanitizers' build cannot run under valgrind, so this one has its own: the release build.
valgrind: build packages-test
	@ninja -C $(RELEASE) --quiet tests/fake/fake_model
	@cd tests/flow && npm ci --no-audit --no-fund >/dev/null && ADJUTANT_BUILD=$(CURDIR)/$(RELEASE) \
		ADJUTANT_WRAPPER='valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite' \
		node run.mjs chat turns threads

clean:
	rm -rf build
