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

PACKAGES := libdpdk openssl libnghttp2 libhs yaml-0.1 libmicrohttpd jansson libbpf libxdp libpcap
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
# TSan knows C11 atomics, not barriers. DPDK has its rings in both ways; in its inline functions two relaxed loads, the
# end of a wait and the last reference, rely on a barrier nearby, so its headers are copied with acquiring ones. With
# its assertions an allocation reads the reference count, which who freed the buffer wrote last.
CPPFLAGS_tsan := -DRTE_USE_C11_MEM_MODEL -DRTE_ENABLE_ASSERT -isystem $(B)/dpdk
HEADERS_tsan := $(B)/dpdk/rte_mbuf.h
# Each test is a program: gold links them in a third of the time. It warns of symbols of the sanitizers.
LINKER_release := -fuse-ld=gold
OPT_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
CC := $(CC_$(VARIANT))

# The machine the packages are built for: SSE4.2 (DPDK's own floor) unless told otherwise.
MARCH ?= -march=corei7
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Wcast-qual \
	-Wwrite-strings -Wpointer-arith -Wformat=2 -Wimplicit-fallthrough -Wnull-dereference -Werror
CFLAGS_ALL = -std=gnu17 -g $(MARCH) $(OPT_$(VARIANT)) $(WARNINGS) -I. -D_GNU_SOURCE \
	-DALLOW_EXPERIMENTAL_API $(CPPFLAGS_$(VARIANT)) $(PACKAGE_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = $(OPT_$(VARIANT)) $(LINKER_$(VARIANT)) -Wl,--as-needed $(LDFLAGS)

LIB_SRC := $(filter-out dataplane/main.c dataplane/net/xdp_%.c $(if $(HEADERS_$(VARIANT)),,dataplane/mbuf_tsan.c),$(wildcard dataplane/*.c dataplane/*/*.c tls/*.c router/*.c mgmt/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
LIB := $(B)/libpollgate.a
PROGRAMS := $(patsubst programs/%.c,$(B)/%,$(wildcard programs/*.c))
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
SIM := $(patsubst tests/sim/%.c,$(B)/tests/sim/%,$(wildcard tests/sim/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAY := $(patsubst tests/fuzz/fuzz_%.c,$(B)/tests/fuzz/replay_%,$(wildcard tests/fuzz/fuzz_*.c))
# Tests of what more than one thread touches.
TSAN := $(filter %_threads %/test_workers,$(UNIT))
FUZZ_SECONDS ?= 60
TOOLS := $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(wildcard tests/tools/*.c))

.SECONDARY:
.PHONY: all programs tests help setup demo check soak unit sim e2e fuzz fuzz-run fuzz-replay asan tsan tsan-run lint format \
	perf docs install clean

all: programs

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

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

$(B)/dpdk/rte_mbuf.h:
	@mkdir -p $(@D)
	$(Q)cd $(shell pkg-config --variable=includedir libdpdk) && for h in rte_ring*.h rte_mbuf.h; do \
		sed '/__atomic_load_n\|rte_wait_until/s/RELAXED/ACQUIRE/' $$h >$(CURDIR)/$(@D)/$$h; done

$(B)/%.o: %.c | $(HEADERS_$(VARIANT))
	@mkdir -p $(@D)
	@echo '  CC $(VARIANT) $<'
	$(Q)$(CCACHE) $(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/tests/%: $(B)/tests/%.o $(B)/tests/test_support.o $(B)/tests/fake_stream.o $(B)/tests/tls_peer.o $(LIB)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PACKAGE_LIBS) -lrte_net_ring -lcmocka -lpthread -lm

# libFuzzer's main, or one of ours that reads each file of a corpus once.
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/test_support.o $(B)/tests/fake_stream.o $(B)/tests/tls_peer.o $(LIB)
	$(Q)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(PACKAGE_LIBS) -lcmocka -lpthread -lm

$(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(B)/tests/test_support.o \
		$(B)/tests/fake_stream.o $(B)/tests/tls_peer.o $(LIB)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PACKAGE_LIBS) -lcmocka -lpthread -lm

$(B)/tests/sim/test_%: $(B)/tests/sim/test_%.o $(B)/tests/sim/link.o $(B)/tests/sim/peer.o $(B)/tests/test_support.o $(LIB)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PACKAGE_LIBS) -lcmocka -lpthread -lm

$(B)/tests/tools/%: $(B)/tests/tools/%.o
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(shell pkg-config --libs openssl libnghttp2) -lpthread

# XDP programs run in the kernel. The program file is part of ours, as bytes that xdp.c includes.
$(B)/%.bpf.o: %.c
	@mkdir -p $(@D)
	@echo '  BPF $(VARIANT) $<'
	$(Q)clang -target bpf -O2 -g -Wall -Wextra -Werror -idirafter /usr/include/$(shell gcc -print-multiarch) \
		-MMD -MP -c -o $@ $<
	$(Q)llvm-strip -g $@

$(B)/%.inc: $(B)/%.bpf.o
	$(Q)od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g' >$@

$(B)/dataplane/xdp.o: $(B)/dataplane/net/xdp_share.inc
$(B)/dataplane/xdp.o: CFLAGS_ALL += -I$(B)

unit: $(UNIT) ## run the unit tests
	@scripts/run-tests $(UNIT)

sim: $(SIM) ## run the two-stack simulator
	@scripts/run-tests $(SIM)

e2e: programs ## run the end-to-end tests (root; makes network namespaces); E2E="-k name" narrows
	@VARIANT=$(VARIANT) /usr/bin/python3 -B -m pytest -q -p no:cacheprovider tests/e2e $(E2E)

fuzz-replay: $(REPLAY) ## give every fuzz target its corpus
	@for f in $(REPLAY); do $$f tests/fuzz/corpus/$$(basename $$f | sed s/^replay_//) || exit 1; done

fuzz: ## fuzz every target for FUZZ_SECONDS (60) each
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzz-run

fuzz-run: $(FUZZ)
	@mkdir -p build/fuzz/found
	@for f in $(FUZZ); do name=$$(basename $$f | sed s/^fuzz_//); \
		mkdir -p build/fuzz/corpus/$$name; \
		$$f -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/found/$$name- -print_final_stats=1 \
			-rss_limit_mb=4096 build/fuzz/corpus/$$name tests/fuzz/corpus/$$name || exit 1; done

asan: ## unit tests, simulator and corpora under ASan and UBSan
	@$(MAKE) --no-print-directory VARIANT=asan unit fuzz-replay
	@SIM_SEEDS=100 $(MAKE) --no-print-directory VARIANT=asan sim

tsan: ## what shares memory between threads, under TSan
	@$(MAKE) --no-print-directory VARIANT=tsan tsan-run

tsan-run: $(TSAN)
	@scripts/run-tests $(TSAN)

lint: ## format, dependencies between folders, headers, tables, scripts
	@scripts/lint

format: ## apply clang-format
	@git ls-files '*.c' '*.h' | xargs clang-format -i

check: setup ## everything that has to pass (CI)
	@scripts/check

soak: setup ## what takes too long for check: hours of fuzzing and the like; SOAK="step ..." selects
	@scripts/soak

demo: setup ## build, and show the main job on real traffic; KEEP=1 leaves it running
	@$(MAKE) --no-print-directory -j$$(nproc) programs
	@scripts/demo

perf: programs ## the same load against nginx and HAProxy in the same lab
	@/usr/bin/python3 -B tests/perf/run.py $(PERF)

docs: programs ## print the references from the tables in the code
	@$(B)/pollgate reference config >docs/CONFIGURATION.md
	@$(B)/pollgate reference metrics >docs/METRICS.md
	@$(B)/pollgate reference commands >docs/COMMANDS.md

install: programs ## install to PREFIX (/usr/local), below DESTDIR
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/pollgate
	install $(B)/pollgate $(DESTDIR)$(PREFIX)/sbin/pollgate
	install $(B)/pollgatectl $(DESTDIR)$(PREFIX)/bin/pollgatectl
	cp -r configs $(DESTDIR)$(PREFIX)/share/pollgate/

clean: ## remove build/
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
