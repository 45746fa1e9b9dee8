# SPDX-License-Identifier: MIT
# The only build file for user space. BUILD=release|debug|asan|tsan; objects in build/$(BUILD).

BUILD ?= release
O := build/$(BUILD)
PREFIX ?= /usr/local
DESTDIR ?=

CC ?= gcc
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
else
$(error BUILD=$(BUILD) is not one of release, debug, asan, tsan)
endif
ldflags := -Wl,-z,defs -Wl,-z,now -Wl,-z,relro
ifneq ($(filter asan tsan,$(BUILD)),)
ldflags += $(filter -fsanitize=%,$(cflags))
endif
libs := -luring -lisal -lsqlite3 -ljansson -lcrypto -lpthread

# One archive per layer, in the order in which they may depend on each other (daemon/README.md).
base := assert.c err.c log.c uuid.c
codec := csum.c ec.c
core := entry.c
format :=
io := reactor.c reactor_uring.c buf.c
store :=
engine :=
cluster := cluster_sqlite.c
front := nbd_server.c
ctl :=
layers := ctl front cluster engine store io format core codec base
$(foreach l,$(layers),$(eval $(l)_src := $(addprefix daemon/$(l)/,$($(l)))))

archives := $(foreach l,$(layers),$(O)/libhf_$(l).a)
link_archives := -Wl,--start-group $(archives) -Wl,--end-group

all_src := $(foreach l,$(layers),$($(l)_src))

.DELETE_ON_ERROR:
.SUFFIXES:
Q := $(if $(V),,@)

.PHONY: all
all: $(archives)

define archive_rule
$(O)/libhf_$(1).a: $($(1)_src:%.c=$(O)/%.o)
	@mkdir -p $$(@D)
	$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach l,$(layers),$(eval $(call archive_rule,$(l))))

$(O)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC  $<")
	$(Q)$(CC) $(cflags) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(O) -name '*.d' 2>/dev/null)
