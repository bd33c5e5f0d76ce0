# kvserver. `make run` serves, `make test` runs the specs; both install what is missing first. `make help` lists the rest.
# Everything that is made goes to build/; the flavours SAN=address and SAN=thread have directories of their own in it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all

SAN ?=
BUILD := build$(if $(SAN),/$(SAN))
PREFIX ?= /usr/local
TEST_TIMEOUT ?= $(if $(SAN),1500,600)
FUZZ_SECONDS ?= 60
BENCHES ?= http cluster failover durable catchup
ARGS ?=

# ---- packages ----

DEBIAN := $(shell . /etc/os-release 2>/dev/null && echo $$VERSION_ID)
# Debian 12 ships llhttp's C sources with node-llhttp; newer releases have a library.
LLHTTP_PACKAGE := $(if $(filter 12,$(DEBIAN)),node-llhttp,libllhttp-dev)
PACKAGES := gcc libc6-dev liblua5.4-dev lua-luv-dev libuv1-dev libyajl-dev libxxhash-dev libedit-dev \
            $(LLHTTP_PACKAGE) lua-argparse curl
TEST_PACKAGES := lua-busted lua5.4 jq
LINT_PACKAGES := clang-format clang-tidy lua-check
FUZZ_PACKAGES := clang libclang-rt-dev
BENCH_PACKAGES := nginx-light wrk etcd-server redis-server redis-tools nghttp2-client

# $(call install,packages): installs those that are missing; without root it prints the line that would.
define install
installed=" $$(dpkg-query -W -f='$${db:Status-Status}=$${Package} ' $(1) 2>/dev/null || true)"; missing=; \
for package in $(1); do \
  case "$$installed" in *" installed=$$package "*) ;; *) missing="$$missing $$package" ;; esac; \
done; \
if [ -z "$$missing" ]; then exit 0; fi; \
if [ "$$(id -u)" != 0 ]; then \
  echo "Packages are missing. Run this, then try again:"; \
  echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$$missing"; \
  exit 1; \
fi; \
export DEBIAN_FRONTEND=noninteractive; \
apt-get -o DPkg::Lock::Timeout=300 update -q; \
apt-get -o DPkg::Lock::Timeout=300 install -qy --no-install-recommends $$missing
endef

# ---- flags ----

CC := gcc
CFLAGS ?= $(if $(SAN),-O1 -g,-O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong)
CPPFLAGS ?=
LDFLAGS ?=
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wswitch-enum -Wundef -Wvla -Werror
ifeq ($(SAN),address)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(SAN),thread)
SANITIZE := -fsanitize=thread
else ifeq ($(SAN),fuzz)
CC := clang
WARNINGS += -Wno-string-conversion # CHECK(!"why") names what cannot happen
SANITIZE := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
else ifneq ($(SAN),)
$(error SAN=$(SAN): expected nothing, address or thread)
endif
INCLUDES := -Isrc -isystem /usr/include/lua5.4 -isystem /usr/share/include/llhttp
COMMON := -std=c11 -D_GNU_SOURCE $(INCLUDES) $(CPPFLAGS) -fno-omit-frame-pointer -fPIE
COMPILE := $(CC) $(COMMON) $(WARNINGS) $(CFLAGS) $(SANITIZE)
# Code of others: not ours to warn about.
COMPILE_LLHTTP := $(CC) $(COMMON) $(CFLAGS) -O3 $(SANITIZE) -w
LINK := $(CC) -pie -rdynamic -Wl,-z,relro,-z,now $(LDFLAGS) $(SANITIZE)
LDLIBS := -llua5.4 -l:liblua5.4-luv.so -luv -lyajl -lxxhash -ledit -lpthread -lm

# ---- what there is ----

SOURCES := $(sort $(wildcard src/*.c src/*/*.c src/*/*/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LLHTTP_SOURCES := $(sort $(wildcard /usr/share/llhttp/api.c /usr/share/llhttp/http.c /usr/share/llhttp/llhttp.c))
LLHTTP_OBJECTS := $(LLHTTP_SOURCES:/usr/share/llhttp/%.c=$(BUILD)/llhttp/%.o)
ifeq ($(LLHTTP_SOURCES),)
LDLIBS += -lllhttp
endif
# Lua modules inside the binary: our own, and argparse from Debian.
ARGPARSE := /usr/share/lua/5.4/argparse.lua
LUA_FILES := $(sort $(shell find lua -name '*.lua')) $(ARGPARSE)
NATIVE_SPECS := $(patsubst spec/native/%.c,$(BUILD)/spec/%.so,$(sort $(wildcard spec/native/*.c)))
# Preloaded into kvserver, also into one with sanitizers: it has none itself.
LOSSY_DISK := $(BUILD)/spec/lossy_disk.so
# What is installed beside the program, made from the table of options inside it.
DOCUMENTS := $(BUILD)/kvserver.1 $(BUILD)/kvserver.bash $(BUILD)/kvserver.service
FUZZ_TARGETS := $(patsubst spec/fuzz/%.c,$(BUILD)/%,$(sort $(wildcard spec/fuzz/fuzz_*.c)))

# ---- the program ----

.PHONY: all program native run test specs check mutants torture scenarios reference fuzz fuzz-now bench install clean
.PHONY: help FORCE
.PHONY: lint lint-format lint-includes lint-purity lint-words lint-lua lint-tidy deps deps-lint deps-fuzz deps-bench
# The specs' modules, too, so that `make && busted` works.
all: program native $(DOCUMENTS)
program: $(BUILD)/kvserver

# How run, test and lint call make again: with a job per processor, unless -j says otherwise.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
AGAIN = $(MAKE) --no-print-directory $(JOBS)

# Commands are shown in short; V=1 shows them whole.
V ?=
Q := $(if $(V),,@)
show = $(if $(V),,@echo '$(1)')

# A stamp is rewritten only when its text changes, so what depends on it is made again exactly then.
define stamp
@mkdir -p $(@D); printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' >$@
endef
$(BUILD)/compile.stamp: FORCE
	$(call stamp,$(COMPILE) $(COMPILE_LLHTTP))
$(BUILD)/link.stamp: FORCE
	$(call stamp,$(LINK) $(LDLIBS) $(OBJECTS) $(LLHTTP_OBJECTS))
$(BUILD)/lua.stamp: FORCE
	$(call stamp,$(LUA_FILES))

$(BUILD)/kvserver: $(OBJECTS) $(LLHTTP_OBJECTS) $(BUILD)/lua_modules.o $(BUILD)/link.stamp
	$(call show,ld $@)
	$(Q)$(LINK) -o $@ $(filter %.o,$^) $(LDLIBS)

$(BUILD)/%.o: %.c Makefile $(BUILD)/compile.stamp
	@mkdir -p $(@D)
	$(call show,cc $<)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/llhttp/%.o: /usr/share/llhttp/%.c Makefile $(BUILD)/compile.stamp
	@mkdir -p $(@D)
	$(call show,cc $<)
	$(Q)$(COMPILE_LLHTTP) -c -o $@ $<

# A table {name, first byte, size} per module, made by the assembler: see src/script/embedded.h.
$(BUILD)/lua_modules.S: $(LUA_FILES) Makefile $(BUILD)/lua.stamp
	@{ i=0; table=; echo '.section .note.GNU-stack,"",@progbits'; echo '.section .rodata'; \
	  for file in $(LUA_FILES); do \
	    name=$$(echo "$$file" | sed 's#^/usr/share/lua/5.4/##; s#^lua/##; s#\.lua$$##; s#/init$$##; s#/#.#g'); \
	    echo "n$$i: .asciz \"$$name\""; \
	    echo "b$$i: .incbin \"$$file\""; echo "e$$i:"; \
	    table="$$table .quad n$$i, b$$i, e$$i - b$$i\n"; i=$$((i+1)); \
	  done; \
	  echo '.section .data.rel.ro,"aw"'; echo '.balign 8'; \
	  echo '.global embedded_lua_modules'; echo 'embedded_lua_modules:'; \
	  printf "$$table"; echo ' .quad 0, 0, 0'; } > $@

$(BUILD)/lua_modules.o: $(BUILD)/lua_modules.S
	$(Q)$(CC) -c -o $@ $<

-include $(OBJECTS:.o=.d)

# ---- running it ----

# Three nodes. The packages first, then a make of its own: what is installed decides which files there are.
# On a terminal the nodes are a job of their own (set -m), so that Ctrl-C stops them, and make sees a clean exit.
run: deps
	+@$(AGAIN) program
	@if [ -t 0 ]; then set -m; fi; \
	setpriv --pdeathsig TERM $(BUILD)/kvserver --script scenarios/cluster.lua $(ARGS) || exit $$?

# ---- specs ----

native: $(NATIVE_SPECS) $(LOSSY_DISK)
	@:
$(BUILD)/spec/%.so: spec/native/%.c Makefile $(BUILD)/compile.stamp
	@mkdir -p $(@D)
	$(call show,cc $<)
	$(Q)$(COMPILE) -fPIC -shared -MMD -MP -MF $(@:.so=.d) -o $@ $<
$(LOSSY_DISK): spec/torture/lossy_disk.c Makefile $(BUILD)/compile.stamp
	@mkdir -p $(@D)
	$(call show,cc $<)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -O2 -g -fPIC -shared -o $@ $< -lpthread
-include $(NATIVE_SPECS:.so=.d)

test: deps
	+@$(AGAIN) all
	@$(MAKE) --no-print-directory specs

# What would hang is ended by the timeout; a run that did not come to its summary gets one here.
specs:
	@rm -f $(BUILD)/specs.xml; code=0; \
	KVSERVER_SPEC_CPATH="$(BUILD)/spec/?.so" \
	  timeout --foreground --kill-after=10 $(TEST_TIMEOUT) $(BUILD)/kvserver spec/support/run.lua \
	  "$$(command -v busted)" $(BUILD)/specs.xml $(ARGS) || code=$$?; \
	if [ ! -s $(BUILD)/specs.xml ]; then \
	  echo "The run ended early, with exit code $$code (124: after $(TEST_TIMEOUT) s)."; echo "0 passed, 1 failed"; exit 1; \
	fi; \
	exit $$code

check:
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test SAN=address
	@$(MAKE) --no-print-directory test SAN=thread

# Known bugs planted one at a time: the simulator must find each. ARGS="--seeds 2000 --only NAME"
mutants: deps
	+@$(AGAIN) all
	@$(BUILD)/kvserver --script spec/mutants/run.lua --build $(BUILD) $(ARGS)

# Durable nodes that are killed again and again, on disks that lose what was not synced, too. ARGS="--rounds 200"
torture: deps
	+@$(AGAIN) all
	@$(BUILD)/kvserver --script scenarios/torture.lua $(ARGS)

# The scenarios, told with many seeds in the simulator and once with processes. ARGS="--seeds 1..1000 --only chaos"
scenarios: deps
	+@$(AGAIN) program
	@$(BUILD)/kvserver --script scenarios/all.lua $(ARGS)

# The verbs of the scenario language, from their comments into scenarios/README.md.
reference: program
	@$(BUILD)/kvserver --script spec/scenario/write_reference.lua

# ---- lint ----

TIDY := $(SOURCES:%.c=$(BUILD)/lint/%.tidy)
C_FILES := $(sort $(wildcard src/*.[ch] src/*/*.[ch] src/*/*/*.[ch] spec/*/*.[ch]))
LUA_DIRS := $(wildcard lua share spec scenarios)

# Goes on after a failure, so that one run shows all.
lint: deps deps-lint
	+@$(AGAIN) --keep-going lint-format lint-includes lint-purity lint-words lint-lua lint-tidy

lint-format:
	$(call show,clang-format)
	$(Q)clang-format --dry-run -Werror $(C_FILES)
lint-includes: program
	$(call show,include table)
	$(Q)$(BUILD)/kvserver spec/lint/include_table.lua src
lint-purity: program
	$(call show,purity of raft/core)
	$(Q)$(BUILD)/kvserver spec/lint/purity.lua $(BUILD)/src/raft/core
lint-words: program
	$(call show,words)
	$(Q)$(BUILD)/kvserver spec/lint/words.lua .
lint-lua:
	$(call show,luacheck)
	$(Q)luacheck --quiet $(LUA_DIRS)
lint-tidy: $(TIDY)

# clang-tidy sees a file again when its object was made again.
$(BUILD)/lint/%.tidy: %.c $(BUILD)/%.o .clang-tidy spec/lint/lua_error.h
	@mkdir -p $(@D)
	$(call show,clang-tidy $<)
	@clang-tidy --quiet $< -- $(COMMON) -include spec/lint/lua_error.h 2>$@.err || { cat $@.err; exit 1; }
	@touch $@

# ---- fuzzing ----

fuzz: deps deps-fuzz
	+@$(AGAIN) SAN=fuzz fuzz-now

fuzz-now: $(FUZZ_TARGETS)
	@for target in $^; do \
	  corpus=$$target.corpus; mkdir -p $$corpus; \
	  echo "$$target for $(FUZZ_SECONDS) s"; \
	  $$target -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix=$$target. \
	    $$corpus $$(ls -d spec/fuzz/$$(basename $$target).corpus 2>/dev/null || true); \
	done

$(BUILD)/fuzz_%: $(BUILD)/spec/fuzz/fuzz_%.o $(filter-out $(BUILD)/src/main.o,$(OBJECTS)) $(LLHTTP_OBJECTS) \
    $(BUILD)/lua_modules.o $(BUILD)/link.stamp
	$(call show,ld $@)
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(LDLIBS)

-include $(FUZZ_TARGETS:$(BUILD)/%=$(BUILD)/spec/fuzz/%.d)

# ---- the rest ----

bench: deps deps-bench
	+@$(AGAIN) program
	@code=0; for bench in $(BENCHES); do $(BUILD)/kvserver --script scenarios/bench/$$bench.lua $(ARGS) || code=1; done; \
	exit $$code

deps:
	@$(call install,$(PACKAGES) $(TEST_PACKAGES))
deps-lint: deps
	@$(call install,$(LINT_PACKAGES))
deps-fuzz: deps
	@$(call install,$(FUZZ_PACKAGES))
deps-bench: deps
	@$(call install,$(BENCH_PACKAGES))

$(BUILD)/kvserver.1: share/write.lua share/manual.lua share/scenario_options.lua $(BUILD)/kvserver
	$(call show,manual $@)
	$(Q)$(BUILD)/kvserver share/write.lua manual >$@
$(BUILD)/kvserver.bash: share/write.lua share/completion.lua share/scenario_options.lua $(BUILD)/kvserver
	$(call show,completion $@)
	$(Q)$(BUILD)/kvserver share/write.lua completion >$@
$(BUILD)/prefix.stamp: FORCE
	$(call stamp,$(PREFIX))
$(BUILD)/kvserver.service: share/kvserver.service.in $(BUILD)/prefix.stamp
	$(call show,unit $@)
	$(Q)sed 's#@PREFIX@#$(PREFIX)#' $< >$@

install: program $(DOCUMENTS)
	install -D -m 755 $(BUILD)/kvserver $(DESTDIR)$(PREFIX)/bin/kvserver
	install -D -m 644 $(BUILD)/kvserver.1 $(DESTDIR)$(PREFIX)/share/man/man1/kvserver.1
	install -D -m 644 $(BUILD)/kvserver.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/kvserver
	install -D -m 644 $(BUILD)/kvserver.service $(DESTDIR)$(PREFIX)/lib/systemd/system/kvserver.service
	install -D -m 644 share/cluster.lua $(DESTDIR)$(PREFIX)/share/doc/kvserver/cluster.lua
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/kvserver share/kvserver/*.lua

clean:
	rm -rf build

define HELP
make              build/kvserver, and what the specs need beside it: then plain `busted` runs them
make run          build it and run three nodes, 127.0.0.1:7001 to 7003   ARGS="--log-level warn ..."
make test         build it and run the specs; report in build/specs.xml ARGS="spec/kvsm ..."
make lint         format, static analysis, luacheck, the include table, the purity of the Raft core
make check        lint, test, test under both sanitizers
make mutants      plant known bugs one at a time; the simulator must find each
make torture      durable nodes under load, killed, their power cut: nothing acknowledged may be lost
make scenarios    tell the stories of scenarios/ with many seeds      ARGS="--seeds 1..1000 --only chaos"
make reference    the verbs of the scenario language, from their comments into scenarios/README.md
make fuzz         fuzz the readers of bytes from outside               FUZZ_SECONDS=60 each
make bench        measure it beside nginx, etcd and Redis, against the goals   BENCHES="http cluster failover durable catchup"
make deps         install what run and test need; deps-lint, deps-fuzz, deps-bench the rest
make install      program, admin scripts, manual, bash completion, systemd unit       PREFIX=/usr/local DESTDIR=
make clean        remove build/
V=1 shows the commands; SAN=address or SAN=thread with all, run, test: a build with sanitizers in build/address or build/thread
endef
export HELP
help:
	@echo "$$HELP"
