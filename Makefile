# kvserver. `make run` serves, `make test` runs the specs; both install what is missing first.
#   make [SAN=address|thread]   build/kvserver, or build/address/kvserver, build/thread/kvserver

SAN ?=
BUILD := build$(if $(SAN),/$(SAN))
CC := gcc

CPPFLAGS := -Isrc -I/usr/include/lua5.4 -I/usr/share/include/llhttp -D_GNU_SOURCE
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wswitch-enum -Wundef -Wvla -Werror
CFLAGS := -std=c11 -O2 -g -fno-omit-frame-pointer -fPIE $(WARNINGS)
LDFLAGS := -pie -rdynamic
LDLIBS := -llua5.4 -l:liblua5.4-luv.so -luv -lyajl -lxxhash -lpthread -lm
ifeq ($(SAN),address)
CFLAGS += -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(SAN),thread)
CFLAGS += -O1 -fsanitize=thread
LDFLAGS += -fsanitize=thread
endif

SOURCES := $(wildcard src/*.c src/*/*.c src/*/*/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)

# llhttp: Debian 12 ships its C sources with node-llhttp; newer releases have a library.
LLHTTP_SOURCES := $(wildcard /usr/share/llhttp/api.c /usr/share/llhttp/http.c /usr/share/llhttp/llhttp.c)
ifneq ($(LLHTTP_SOURCES),)
LLHTTP_OBJECTS := $(LLHTTP_SOURCES:/usr/share/llhttp/%.c=$(BUILD)/llhttp/%.o)
else
LDLIBS += -lllhttp
endif

# Lua modules inside the binary: our own, and argparse from Debian.
LUA_FILES := $(shell find lua -name '*.lua' 2>/dev/null | sort)
ARGPARSE := /usr/share/lua/5.4/argparse.lua

.PHONY: all clean
all: $(BUILD)/kvserver

$(BUILD)/kvserver: $(OBJECTS) $(LLHTTP_OBJECTS) $(BUILD)/lua_modules.o
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/llhttp/%.o: /usr/share/llhttp/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c11 -O3 -g -fPIE -w -c -o $@ $<

# A table {name, first byte, size} per module, made by the assembler: see src/script/embedded.h.
$(BUILD)/lua_modules.S: $(LUA_FILES) $(ARGPARSE) Makefile
	@mkdir -p $(@D)
	@{ i=0; table=; echo '.section .note.GNU-stack,"",@progbits'; echo '.section .rodata'; \
	  for file in $(LUA_FILES) $(ARGPARSE); do \
	    name=$$(echo "$$file" | sed 's#^/usr/share/lua/5.4/##; s#^lua/##; s#\.lua$$##; s#/init$$##; s#/#.#g'); \
	    echo "n$$i: .asciz \"$$name\""; \
	    echo "b$$i: .incbin \"$$file\""; echo "e$$i:"; \
	    table="$$table .quad n$$i, b$$i, e$$i - b$$i\n"; i=$$((i+1)); \
	  done; \
	  echo '.section .data.rel.ro,"aw"'; echo '.balign 8'; echo '.global embedded_lua_modules'; echo 'embedded_lua_modules:'; \
	  printf "$$table"; echo ' .quad 0, 0, 0'; } > $@

$(BUILD)/lua_modules.o: $(BUILD)/lua_modules.S
	$(CC) -c -o $@ $<

clean:
	rm -rf build

-include $(OBJECTS:.o=.d)
