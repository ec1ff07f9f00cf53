# pollgate. 'make help' lists what can be made.
#
# V=1 shows the commands.
#
# VARIANT selects a build below build/: release (gcc), clang, asan (clang, ASan+UBSan), tsan (clang).
VARIANT ?= release
B := build/$(VARIANT)
PREFIX ?= /usr/local
Q := $(if $(V),,@)
CCACHE := $(shell command -v ccache)

PACKAGES := libdpdk openssl libnghttp2 libhs yaml-0.1 libmicrohttpd jansson libcares libbpf libxdp libcurl libxxhash
# The headers of libraries are not ours to warn about.
PACKAGE_CFLAGS = $(subst -I,-isystem ,$(filter-out -march=%,$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)))
PACKAGE_LIBS = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)

CC_release := gcc
CC_clang := clang
CC_asan := clang
CC_tsan := clang
CC_fuzz := clang
OPT_release := -O2
OPT_clang := -O2
OPT_asan := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT_tsan := -O1 -fno-omit-frame-pointer -fsanitize=thread
OPT_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
CC := $(CC_$(VARIANT))

# The machine the packages are built for: SSE4.2 (DPDK's own floor) unless told otherwise.
MARCH ?= -march=corei7
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Wcast-qual \
	-Wwrite-strings -Wpointer-arith -Wformat=2 -Wimplicit-fallthrough -Wnull-dereference -Werror
CFLAGS_ALL = -std=gnu17 -g $(MARCH) $(OPT_$(VARIANT)) $(WARNINGS) -I. -D_GNU_SOURCE \
	-DALLOW_EXPERIMENTAL_API $(PACKAGE_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = $(OPT_$(VARIANT)) -Wl,--as-needed $(LDFLAGS)

LIB_SRC := $(filter-out dataplane/main.c dataplane/net/xdp_%.c,$(wildcard dataplane/*.c dataplane/*/*.c tls/*.c router/*.c mgmt/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
LIB := $(B)/libpollgate.a
PROGRAMS := $(patsubst programs/%.c,$(B)/%,$(wildcard programs/*.c))
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
SIM := $(patsubst tests/sim/%.c,$(B)/tests/sim/%,$(wildcard tests/sim/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,build/fuzz/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOLS := $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(wildcard tests/tools/*.c))

.SECONDARY:
.PHONY: all programs tests help setup demo check unit sim e2e fuzz fuzz-replay asan tsan lint format perf install clean

all: programs

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup: ## install the Debian packages that are missing
	@scripts/setup

programs: $(B)/pollgate $(B)/pollgatectl $(TOOLS)

tests: $(UNIT) $(SIM)

$(B)/pollgate: $(B)/dataplane/main.o $(LIB)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PACKAGE_LIBS) -lpthread -lm

$(B)/pollgatectl: $(B)/mgmt/ctl/pollgatectl.o $(LIB)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PACKAGE_LIBS)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC $(VARIANT) $<'
	$(Q)$(CCACHE) $(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/tests/%: $(B)/tests/%.o $(B)/tests/test_support.o $(B)/tests/fake_stream.o $(LIB)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PACKAGE_LIBS) -lcmocka -lpthread -lm

$(B)/tests/tools/%: $(B)/tests/tools/%.o
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(shell pkg-config --libs openssl libnghttp2) -lpthread

unit: $(UNIT) ## run the unit tests
	@scripts/run-tests $(UNIT)

sim: $(SIM) ## run the two-stack simulator
	@scripts/run-tests $(SIM)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
