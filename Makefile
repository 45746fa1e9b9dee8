# SPDX-License-Identifier: MIT
# The only build file for user space. `make help` lists the targets; docs/HACKING.md explains them.
#
# BUILD=release|debug|asan|tsan|fuzz|cover chooses a variant, each in its own build/$(BUILD). CFLAGS is yours, appended.
# V=1 shows the commands. Choices of one machine go into config.mk, which is not kept.

-include config.mk
BUILD ?= release
O := build/$(BUILD)
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
Q := $(if $(V),,@)
comma := ,

ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(BUILD)),clang,gcc)
endif
warn := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Werror
harden := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
cflags := -std=gnu17 -D_GNU_SOURCE -Idaemon -g $(warn)
ifeq ($(BUILD),release)
cflags += -O2 $(harden)
else ifeq ($(BUILD),debug)
cflags += -O0 -DHF_DEBUG
else ifeq ($(BUILD),asan)
cflags += -O1 -DHF_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(BUILD),tsan)
cflags += -O1 -DHF_DEBUG -fsanitize=thread
else ifeq ($(BUILD),fuzz)
cflags += -O1 -DHF_DEBUG -D__SANITIZE_ADDRESS__ -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(BUILD),cover)
cflags += -O0 -DHF_DEBUG -DHF_COVER=1 --coverage
else
$(error BUILD=$(BUILD) is not one of release, debug, asan, tsan, fuzz, cover)
endif
ldflags := -Wl,-z,defs -Wl,-z,now -Wl,-z,relro
ifneq ($(filter asan tsan fuzz,$(BUILD)),)
ldflags += $(filter -fsanitize=%,$(cflags))
endif
ifeq ($(BUILD),cover)
ldflags += --coverage
endif
libs := -luring -lisal -lsqlite3 -ljansson -lcurl -lcrypto -lpthread

# ---------------------------------------------------------------- sources, by name; `make lint` finds the unlisted
# One archive per layer (daemon/README.md says which may use which).
base := assert.c err.c log.c parse.c uuid.c
codec := csum.c ec.c
core := decide.c entry.c insync.c leg.c volume.c volume_leg.c volume_op.c volume_promote.c
format := disk.c json_read.c record.c wire.c
io := reactor.c reactor_uring.c uring_open.c sys.c jobs.c buf.c
store := leg_apply.c leg_format.c leg_log.c leg_open.c leg_recover.c leg_super.c leg_table.c leg_view.c
engine := agent.c agent_leg.c agent_watch.c conn.c host.c leg_run.c peer.c volume_copy.c volume_read.c \
	volume_run.c volume_send.c
cluster := cluster_etcd.c cluster_sqlite.c etcd_http.c etcd_proto.c etcd_session.c request.c sqlite_db.c
front := nbd_proto.c nbd_sock.c nbd_conn.c nbd_handshake.c nbd_transmit.c nbd_reply.c nbd_server.c
ctl := ctl.c ctl_handlers.c event_chain.c events.c view.c
layers := ctl front cluster engine store io format core codec base

# Programs: $(O)/bin/NAME from the paths in src_NAME and the archives. A program with an empty list is not built.
src_holdfastd := $(addprefix daemon/,main.c config.c daemon.c daemon_ctl.c daemon_front.c daemon_look.c daemon_store.c \
	daemon_view.c daemon_volume.c)
src_holdfast := $(addprefix tools/,args.c client.c cmd_dev.c cmd_host.c cmd_promote.c cmd_status.c cmd_torture.c \
	cmd_volume.c dev.c dev_process.c holdfast.c merge.c output.c torture_cluster.c torture_disk.c \
	torture_fault.c torture_full.c torture_load.c torture_net.c torture_oracle.c torture_orders.c torture_report.c \
	torture_session.c)
src_holdfast-inspect := tools/inspect.c tools/leglog.c
src_holdfast-verify := tools/certificate.c tools/leglog.c tools/verify.c
src_holdfast-bench-engine := tools/bench/engine.c tools/bench/engine_host.c
programs := holdfastd holdfast holdfast-inspect holdfast-verify holdfast-bench-engine
sbin_programs := holdfastd
bench_programs := holdfast-bench-engine

# Tests: libhf_testlib.a (tests/lib), libhf_sim.a (tests/sim), then one program per name.
testlib := cluster_ask.c cluster_driver_etcd.c cluster_driver_sqlite.c core_rig.c etcd_rig.c failing_alloc.c golden.c \
	nbd_raw.c ram_export.c shards.c sometimes.c tcp_proxy.c
sim := arena.c cell.c cluster_driver_sim.c invariants.c leg_case.c leg_cuts.c leg_judge.c leg_model.c leg_sim.c \
	oracle.c plan.c sim_cluster.c sim_cover.c sim_disk.c sim_net.c sim_reactor.c sim_world.c world.c \
	world_client.c world_end.c world_fault.c world_lean.c
unit := test_base_parse test_cluster_etcd test_cluster_etcd_http test_cluster_etcd_proto test_cluster_sqlite_db \
	test_codec_csum test_codec_ec test_core_decide \
	test_core_entry test_core_insync test_core_leg test_core_volume test_ctl_ctl test_ctl_events test_engine_agent \
	test_engine_leg test_engine_volume test_format_disk test_format_record test_front_nbd test_front_nbd_fuzz \
	test_front_nbd_io test_io_buf test_sim_storm test_sim_world test_store_basic test_store_crafted \
	test_store_crash test_store_faults test_tools_holdfast test_tools_torture test_core_volume_leg \
	test_core_volume_op test_core_volume_promote
contract := test_cluster test_reactor test_reactor_hardship
story := test_story
golden := test_golden_disk test_golden_record test_golden_wire
exhaustive := test_cell_faults test_leg_cuts test_memory_cell test_memory_leg \
	test_memory_start
# Programs of tests/sim that judge seeded runs; servers of tests/lib; clients (linked with libnbd).
sim_main := sim_run
server := nbd_ram tcp_lossy
client := nbd_verify
# Fuzzers: one program per name, by BUILD=fuzz only; fuzz_lib is linked into each.
fuzz_lib := fuzz_alloc.c fuzz_leg.c fuzz_main.c fuzz_reactor.c
fuzz_wrap := $(addprefix -Wl$(comma)--wrap=,crc32_iscsi malloc calloc realloc aligned_alloc free)
fuzz := fuzz_ctl fuzz_etcd fuzz_log fuzz_nbd fuzz_peer fuzz_record fuzz_super fuzz_table fuzz_wire

# ---------------------------------------------------------------- rules
comma := ,
here = $(foreach f,$(1),$(wildcard $(f)))
$(foreach l,$(layers),$(eval $(l)_src := $(call here,$(addprefix daemon/$(l)/,$($(l))))))
testlib_src := $(call here,$(addprefix tests/lib/,$(testlib)))
sim_src := $(call here,$(addprefix tests/sim/,$(sim)))
families := unit contract story golden
$(foreach f,$(families) exhaustive,$(eval $(f)_src := $(call here,$(patsubst %,tests/$(f)/%.c,$($(f))))))
sim_main_src := $(call here,$(patsubst %,tests/sim/%.c,$(sim_main)))
server_src := $(call here,$(patsubst %,tests/lib/%.c,$(server)))
client_src := $(call here,$(patsubst %,tests/lib/%.c,$(client)))
fuzz_lib_src := $(call here,$(addprefix tests/fuzz/,$(fuzz_lib)))
fuzz_src := $(call here,$(patsubst %,tests/fuzz/%.c,$(fuzz)))
program_src := $(sort $(foreach p,$(programs),$(src_$(p))))
test_src := $(foreach f,$(families) exhaustive sim_main server,$($(f)_src))
# Tests take the layers with coverage points (daemon/base/sometimes.h) from a second build in which the points count.
counted := core store engine
tested = $(if $(filter $(1),$(counted)),$(O)/test/libhf_$(1).a,$(O)/libhf_$(1).a)
all_src := $(foreach l,$(layers),$($(l)_src)) $(program_src) $(testlib_src) $(sim_src) $(test_src) $(client_src) \
	$(fuzz_lib_src) $(fuzz_src)
all_obj := $(all_src:%.c=$(O)/%.o) $(foreach l,$(counted),$($(l)_src:%.c=$(O)/test/%.o))

archives := $(foreach l,$(layers),$(O)/libhf_$(l).a)
test_archives := $(O)/libhf_testlib.a $(O)/libhf_sim.a $(foreach l,$(layers),$(call tested,$(l)))
group = -Wl,--start-group $(1) -Wl,--end-group
bins := $(foreach p,$(programs),$(if $(src_$(p)),$(O)/bin/$(p)))
$(foreach f,$(families) exhaustive sim_main server client fuzz,$(eval $(f)_bin := $($(f)_src:%.c=$(O)/%)))
test_bins := $(test_src:%.c=$(O)/%)

# Simulated clusters allocate in an arena (tests/sim/arena.h), but not where a sanitizer watches.
arena := $(if $(filter release debug,$(BUILD)),$(addprefix -Wl$(comma)--wrap=,malloc calloc realloc free \
	aligned_alloc mmap munmap))

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

.PHONY: all
all: $(archives) $(bins)

.PHONY: help
help:
	@echo 'make               build everything into $(O)'
	@echo 'make demo          four hosts, a failover under load, every acknowledged write checked'
	@echo 'make check         all tests: check-unit, check-sim, check-system'
	@echo 'make check-exhaustive  every crash point and every failure of small cases'
	@echo 'make coverage      lines and branches that unit tests, contracts, stories and COVER_N seeds pass'
	@echo 'make check-model   the protocol as a model, searched by spin; LONG=1: the large ones as well'
	@echo 'make check-mutants each guard of the protocol taken out: some test must fail'
	@echo 'make check-sim-mutants  the same, judged by the simulator alone, N seeds each'
	@echo 'make check-sim     SEED=n N=count: simulated clusters only'
	@echo 'make check-fuzz    hostile bytes for every parser, a fixed number of runs'
	@echo 'make fuzz          T=seconds F=name: fuzzers for longer'
	@echo 'make check-determinism  the same seeds give the same traces, from other compilers too'
	@echo 'make scoreboard    the figures of the last run (docs/PROOF.md)'
	@echo 'make bench         IOPS, latency and CPU per op, as ratios to raw fio'
	@echo 'make lint          the style as a test'
	@echo 'make analyze       cppcheck, gcc -fanalyzer and clang-tidy over the product; LONG=1: more'
	@echo 'make check-sanitizers  a share of the tests under ASan, UBSan, LeakSanitizer and TSan'
	@echo 'make install       DESTDIR= PREFIX=$(PREFIX); also uninstall'
	@echo 'make clean         BUILD=release|debug|asan|tsan|fuzz|cover selects the variant everywhere'

# A missing library is named before the compiler stumbles over its header.
$(O)/.deps: tools/deps
	$(Q)tools/deps check build
	@mkdir -p $(@D) && touch $@

define archive_rule
$(2)/libhf_$(1).a: $($(1)_src:%.c=$(2)/%.o)
	@mkdir -p $$(@D)
	$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach l,$(layers) testlib sim,$(eval $(call archive_rule,$(l),$(O))))
$(foreach l,$(counted),$(eval $(call archive_rule,$(l),$(O)/test)))

define program_rule
$(O)/bin/$(1): $(src_$(1):%.c=$(O)/%.o) $(archives)
	@mkdir -p $$(@D)
	$(if $(V),,@echo "  LD  $(1)")
	$(Q)$(CC) $(ldflags) $(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(call group,$(archives)) $(libs)
endef
$(foreach p,$(programs),$(if $(src_$(p)),$(eval $(call program_rule,$(p)))))

# Its own hands on what goes to the kernel and comes back.
$(O)/tests/contract/test_reactor_hardship: LDFLAGS += -Wl,--wrap=io_uring_submit,--wrap=io_uring_get_events \
	-Wl,--wrap=io_uring_submit_and_get_events,--wrap=io_uring_submit_and_wait_timeout

# test_memory_*: the product's allocations fail when ordered (tests/lib/failing_alloc.h).
memory_bin := $(filter $(O)/tests/exhaustive/test_memory_%,$(exhaustive_bin))
$(O)/tests/unit/test_tools_torture: $(O)/tools/torture_oracle.o
$(filter-out $(memory_bin),$(test_bins)): $(O)/%: $(O)/%.o $(test_archives)
	$(if $(V),,@echo "  LD  $*")
	$(Q)$(CC) $(ldflags) $(LDFLAGS) -o $@ $(filter %.o,$^) $(call group,$(test_archives)) $(libs) -lcmocka \
		$(if $(filter $(sim_main_bin),$@),$(arena))

failing := $(foreach l,$(layers),$(O)/failing/libhf_$(l).a)
define failing_rule
$(O)/failing/libhf_$(1).a: $(call tested,$(1)) tests/lib/failing_alloc.syms
	@mkdir -p $$(@D)
	$(Q)objcopy --redefine-syms=tests/lib/failing_alloc.syms $$< $$@
endef
$(foreach l,$(layers),$(eval $(call failing_rule,$(l))))

$(memory_bin): $(O)/%: $(O)/%.o $(test_archives) $(failing)
	$(if $(V),,@echo "  LD  $*")
	$(Q)$(CC) $(ldflags) $(LDFLAGS) -o $@ $< \
		$(call group,$(O)/libhf_testlib.a $(O)/libhf_sim.a $(failing)) $(libs) -lcmocka

$(client_bin): $(O)/%: $(O)/%.o
	$(if $(V),,@echo "  LD  $*")
	$(Q)$(CC) $(ldflags) $(LDFLAGS) -o $@ $< -lnbd -lpthread

$(fuzz_bin): $(O)/%: $(O)/%.o $(fuzz_lib_src:%.c=$(O)/%.o) $(O)/libhf_testlib.a $(archives)
	$(if $(V),,@echo "  LD  $*")
	$(Q)$(CC) $(ldflags) -fsanitize=fuzzer $(fuzz_wrap) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(call group,$(filter %.a,$^)) $(libs)

compile = $(Q)$(CC) $(cflags) $(1) $(CFLAGS) -MMD -MP -c -o $@ $<
$(O)/%.o: %.c Makefile | $(O)/.deps
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC  $<")
	$(call compile,$(if $(filter tests/%,$<),-Itests -DHF_TEST=1))

$(O)/test/%.o: %.c Makefile | $(O)/.deps
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC  $< for tests")
	$(call compile,-DHF_TEST=1)

-include $(all_obj:.o=.d)

# ---------------------------------------------------------------- tests
# `check` and `demo` are first commands on a fresh machine: they install what is missing, then build.
system := $(sort $(wildcard tests/system/[0-9]*.sh))
SEED ?= 1
N ?= 2000
REGRESSIONS ?= tests/sim/regressions
LONG ?=
export SEED N REGRESSIONS LONG

.PHONY: check check-all check-unit check-exhaustive check-model check-mutants check-sim check-sim-mutants \
	check-determinism check-system tests scoreboard
check:
	$(Q)tools/deps test
	$(Q)$(MAKE) --no-print-directory check-all

tests: all $(test_archives) $(test_bins) $(client_bin)

parts_unit := $(foreach f,$(families),part $(f) $($(f)_bin))
check-all: tests
	$(Q)$(MAKE) --no-print-directory BUILD=fuzz CC=clang fuzzers
	$(Q)O=$(O) CC=$(CC) SIM_LDFLAGS='$(arena)' SCOREBOARD=1 tests/run $(O) $(parts_unit) \
		part exhaustive $(exhaustive_bin) part mutants tests/mutants part fuzz tests/fuzz/run \
		part model tests/model/run part sim $(sim_main_bin) part determinism tests/sim/determinism \
		part system $(system)

check-unit: all $(test_archives) $(test_bins)
	$(Q)tests/run $(O) $(parts_unit)

# The suites under sanitizers, each in its own variant: a share that takes minutes.
SANITIZE_N ?= 20
asan_exhaustive := $(filter %/test_memory_start %/test_memory_leg,$(exhaustive_bin))
threaded := $(contract_bin) $(addprefix $(O)/tests/unit/,test_cluster_sqlite_db test_ctl_ctl test_front_nbd \
	test_front_nbd_io test_io_buf test_tools_torture)
.PHONY: check-sanitizers check-asan check-tsan
check-sanitizers:
	$(Q)tools/deps test
	$(Q)$(MAKE) --no-print-directory BUILD=asan check-asan
	$(Q)$(MAKE) --no-print-directory BUILD=tsan check-tsan

check-asan: tests
	$(Q)UBSAN_OPTIONS=print_stacktrace=1 SEED=1 N=$(SANITIZE_N) tests/run $(O) $(parts_unit) \
		part exhaustive $(asan_exhaustive) part sim $(sim_main_bin) \
		part system tests/system/310-primary-killed-fio-verifies.sh

check-tsan: $(threaded)
	$(Q)tests/run $(O) part threads $(threaded)

check-exhaustive: $(exhaustive_bin)
	$(Q)tests/run $(O) part exhaustive $(or $(T),$(exhaustive_bin))

check-model:
	$(Q)tools/deps test
	$(Q)$(if $(LONG),TIMEOUT=36000) tests/run $(O) part model tests/model/run

check-mutants: $(test_archives) $(archives) $(test_bins)
	$(Q)O=$(O) CC=$(CC) SIM_LDFLAGS='$(arena)' JUDGE=tests tests/mutants

# The same, but the simulator alone has to notice, within N seeds.
check-sim-mutants: $(test_archives) $(archives) $(test_bins)
	$(Q)O=$(O) CC=$(CC) SIM_LDFLAGS='$(arena)' JUDGE=sim tests/mutants

check-sim: $(sim_main_bin)
	$(Q)tests/run $(O) part sim $(sim_main_bin)

check-determinism: $(sim_main_bin)
	$(Q)O=$(O) tests/run $(O) part determinism tests/sim/determinism

check-system: all $(server_bin) $(client_bin)
	$(Q)tests/run $(O) part system $(or $(T),$(system))

# KEEP=1 puts the table into docs/PROOF.md.
scoreboard:
	$(Q)tests/scoreboard $(O) $(if $(KEEP),docs/PROOF.md)

# The same seeds each time: what is covered depends on the tree alone.
COVER_N ?= 200
.PHONY: coverage coverage-run
coverage:
	$(Q)$(MAKE) --no-print-directory BUILD=cover coverage-run

coverage-run: all $(test_archives) $(test_bins)
	$(Q)find $(O) -name '*.gcda' -delete
	$(Q)SEED=1 N=$(COVER_N) COVER= REGRESSIONS= tests/run $(O) $(parts_unit) part sim $(sim_main_bin)
	$(Q)tests/coverage $(O) >$(O)/tap/coverage.out; r=$$?; cat $(O)/tap/coverage.out; exit $$r

# Fuzzers exist in the variant `fuzz` alone, whatever BUILD is.
.PHONY: fuzzers fuzz check-fuzz
fuzzers: $(fuzz_bin)

fuzz check-fuzz:
	$(Q)tools/deps test
	$(Q)$(MAKE) --no-print-directory BUILD=fuzz CC=clang fuzzers
	$(Q)$(if $(filter fuzz,$@),FUZZ_SECONDS=$(or $(T),60) FUZZ_NAME='$(F)' tests/fuzz/run long, \
		tests/run build/fuzz part fuzz tests/fuzz/run)

.PHONY: demo bench lint
demo:
	$(Q)tools/deps test
	$(Q)$(MAKE) --no-print-directory all $(client_bin)
	$(Q)BUILD_DIR=$(O) tools/demo

bench:
	$(Q)tools/deps bench
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD_DIR=$(O) tools/bench/run

# LONG=1: clang's analyzer as well.
.PHONY: analyze
analyze:
	$(Q)tools/deps test
	$(Q)HF_CFLAGS='$(cflags)' tests/run $(O) part analyze tests/analyze/run

lint: $(archives)
	$(Q)O='$(O)' CC='$(CC)' HF_CFLAGS='$(cflags)' HF_SOURCES='$(all_src)' tests/lint/run

# ---------------------------------------------------------------- install
man_pages := $(sort $(wildcard docs/man/*.[1-9]))
man_path = $(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))
user_programs := $(filter-out $(sbin_programs) $(bench_programs),$(programs))
installed = $(foreach p,$(1),$(if $(src_$(p)),$(p)))

.PHONY: install uninstall clean
install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(SBINDIR) $(DESTDIR)$(COMPLETIONDIR)
	$(foreach p,$(call installed,$(sbin_programs)),install -m 755 $(O)/bin/$(p) $(DESTDIR)$(SBINDIR)/$(p) &&) true
	$(foreach p,$(call installed,$(user_programs)),install -m 755 $(O)/bin/$(p) $(DESTDIR)$(BINDIR)/$(p) &&) true
	$(foreach m,$(man_pages),install -D -m 644 $(m) $(call man_path,$(m)) &&) true
	$(if $(wildcard tools/holdfast.bash),install -m 644 tools/holdfast.bash $(DESTDIR)$(COMPLETIONDIR)/holdfast)

uninstall:
	rm -f $(foreach p,$(sbin_programs),$(DESTDIR)$(SBINDIR)/$(p))
	rm -f $(foreach p,$(user_programs),$(DESTDIR)$(BINDIR)/$(p))
	rm -f $(foreach m,$(man_pages),$(call man_path,$(m)))
	rm -f $(DESTDIR)$(COMPLETIONDIR)/holdfast

clean:
	rm -rf $(O)
