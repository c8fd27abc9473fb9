# ocspd and wsgate: one non-recursive file. `make help` lists the targets.
# CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR and SYSCONFDIR are yours to set.

VARIANT ?= release
BUILD    = build/$(VARIANT)
OBJ      = $(BUILD)/obj
PREFIX  ?= /usr/local
SYSCONFDIR ?= /etc
PKG_CONFIG ?= pkg-config
PYTHON  ?= /usr/bin/python3
VERSION  = 0.1.0

# ---- compiler ---------------------------------------------------------------
CFLAGS  ?= -O2 -g
WARN     = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
           -Wmissing-prototypes -Wvla -Wformat=2
HARDEN   = -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
           -fcf-protection -ffunction-sections
LDHARDEN = -pie -Wl,-z,relro,-z,now -Wl,--gc-sections
SAN      = -fno-omit-frame-pointer -fno-sanitize-recover=undefined
ifeq ($(VARIANT),asan)
  HARDEN   = $(SAN) -fsanitize=address,undefined -fPIE
  LDHARDEN = -fsanitize=address,undefined -pie
  CFLAGS   = -O1 -g
endif
ifeq ($(VARIANT),tsan)
  HARDEN   = $(SAN) -fsanitize=thread -fPIE
  LDHARDEN = -fsanitize=thread -pie
  CFLAGS   = -O1 -g
endif
ifeq ($(VARIANT),cov)
  HARDEN   = --coverage -fPIE
  LDHARDEN = --coverage -pie
  CFLAGS   = -O0 -g
endif
ifeq ($(VARIANT),fuzz)
  CC       = clang
  HARDEN   = $(SAN) -fsanitize=fuzzer-no-link,address,undefined -fPIE
  LDHARDEN = -fsanitize=fuzzer,address,undefined -pie
  CFLAGS   = -O1 -g
endif
ifeq ($(CI),true)
  WERROR = -Werror
endif

PKGS     = libuv openssl libcurl yaml-0.1 jansson
pkg_cflags := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
pkg_libs   := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)
check_libs := $(shell $(PKG_CONFIG) --libs check 2>/dev/null)

# llhttp: the distribution's library where there is one, else its C sources.
ifeq ($(shell $(PKG_CONFIG) --exists libllhttp 2>/dev/null && echo yes),yes)
  LLHTTP_CFLAGS := $(shell $(PKG_CONFIG) --cflags libllhttp)
  LLHTTP_LIBS   := $(shell $(PKG_CONFIG) --libs libllhttp)
  LLHTTP_OBJS   :=
else
  LLHTTP_DIR    ?= /usr/share/llhttp
  LLHTTP_CFLAGS := -I/usr/share/include/llhttp
  LLHTTP_LIBS   :=
  LLHTTP_OBJS   := $(addprefix $(BUILD)/llhttp/,api.o http.o llhttp.o)
endif

ALL_CPPFLAGS = -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"' \
    $(pkg_cflags) $(LLHTTP_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS   = -std=c17 $(WARN) $(WERROR) $(HARDEN) $(CFLAGS)
ALL_LIBS     = $(LLHTTP_LIBS) $(pkg_libs)

# ---- sources ----------------------------------------------------------------
SHARED_SRC = $(wildcard shared/*.c)
OCSPD_SRC  = $(wildcard ocspd/*.c)
WSGATE_SRC = $(wildcard wsgate/*.c wsgate/*/*.c)
SUPPORT_SRC = $(wildcard tests/support/*.c)
UNIT_SRC   = $(wildcard tests/unit/test_*.c)
FUZZ_SRC   = $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC  = $(wildcard tests/bench/*.c)
TOOL_SRC   = $(wildcard tests/tools/*.c)

obj = $(patsubst %.c,$(OBJ)/%.o,$(1))
SHARED_OBJ = $(call obj,$(SHARED_SRC))
OCSPD_OBJ  = $(call obj,$(filter-out ocspd/main.c,$(OCSPD_SRC)))
WSGATE_OBJ = $(call obj,$(filter-out wsgate/main.c,$(WSGATE_SRC)))
UNIT_BIN   = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))
FUZZ_BIN   = $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_SRC))
TOOL_BIN   = $(patsubst tests/tools/%.c,$(BUILD)/tools/%,$(TOOL_SRC))
LIBS       = $(BUILD)/libwsgate.a $(BUILD)/libocspd.a $(BUILD)/libshared.a

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all help deps check check-unit check-integration check-long asan tsan \
    asan-short cov fuzz fuzz-build fuzz-seeds bench format lint demo peers \
    clean install uninstall

all: $(BUILD)/ocspd $(BUILD)/wsgate

help:
	@sed -n 's/^## //p' Makefile

## make                 both daemons, into build/release/
## make demo            everything running on this machine, proving itself
## make check           unit and integration tests
## make check-unit      unit tests only (WRAP="valgrind -q" works)
## make check-long      soaks, full sanitizer runs, long fuzzing
## make asan tsan       make check in that variant
## make cov             line coverage per module
## make fuzz TIME=60    each fuzz target for that many seconds (clang)
## make fuzz-seeds      only replay the seeds of each fuzz target
## make lint format     layers, headers, clang-tidy, shellcheck; clang-format
## make deps            install what building and testing need (asks first)
## make peers           a root filesystem with servers that tests talk to
## make install         DESTDIR, PREFIX, SYSCONFDIR; tells what comes next
## make uninstall       what install put; configuration and spool stay

$(BUILD)/llhttp/%.o: $(LLHTTP_DIR)/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) -O2 -g -DLLHTTP_STRICT_MODE=1 $(filter-out -Werror,$(HARDEN)) \
	    -w $(LLHTTP_CFLAGS) -c $< -o $@

$(OBJ)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

define archive
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^
endef
$(BUILD)/libshared.a: $(SHARED_OBJ)
	$(archive)
$(BUILD)/libocspd.a: $(OCSPD_OBJ)
	$(archive)
$(BUILD)/libwsgate.a: $(WSGATE_OBJ) $(LLHTTP_OBJS)
	$(archive)
$(BUILD)/libsupport.a: $(call obj,$(SUPPORT_SRC))
	$(archive)

LINK = $(CC) $(ALL_CFLAGS) $(LDHARDEN) $(LDFLAGS)
$(BUILD)/ocspd: $(OBJ)/ocspd/main.o $(BUILD)/libocspd.a $(BUILD)/libshared.a
	@echo "  LINK  $@"
	@$(LINK) $^ $(pkg_libs) -o $@
$(BUILD)/wsgate: $(OBJ)/wsgate/main.o $(BUILD)/libwsgate.a $(BUILD)/libshared.a
	@echo "  LINK  $@"
	@$(LINK) $^ $(ALL_LIBS) -o $@
$(BUILD)/unit/%: $(OBJ)/tests/unit/%.o $(BUILD)/libsupport.a $(LIBS)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(LINK) $^ $(check_libs) $(ALL_LIBS) -o $@
$(BUILD)/tools/%: $(OBJ)/tests/tools/%.o $(LIBS)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(LINK) $^ $(ALL_LIBS) -o $@

# ---- tests --------------------------------------------------------------------
# Each sub-make reads pkg-config anew: what deps installed counts.
SUBMAKE     = $(MAKE) --no-print-directory
RUN_ENV     = OCSPD="$(abspath $(BUILD)/ocspd)" \
    WSGATE="$(abspath $(BUILD)/wsgate)" TOOLS="$(abspath $(BUILD)/tools)" \
    PEERS="$(abspath build/peers)"
MARKS      ?= not soak
TIME       ?= 60

deps:
	@contrib/deps/install
peers:
	@contrib/deps/peers

check: deps
	-@contrib/deps/peers
	@$(SUBMAKE) all
	@bad=0; $(SUBMAKE) check-unit || bad=1; \
	    $(SUBMAKE) check-integration || bad=1; exit $$bad

check-unit: $(UNIT_BIN)
	@WRAP="$(WRAP)" tests/support/run_unit $(UNIT_BIN)

check-integration: all $(TOOL_BIN)
	@$(RUN_ENV) PYTHON="$(PYTHON)" MARKS="$(MARKS)" \
	    tests/support/run_integration $(PYTEST_ARGS)

# About an hour with the default; FUZZ_LONG is seconds per fuzz target.
FUZZ_LONG  ?= 300
check-long:
	@contrib/deps/install build test lint long
	@bad=0; $(SUBMAKE) VARIANT=asan check-integration || bad=1; \
	    $(SUBMAKE) fuzz TIME=$(FUZZ_LONG) || bad=1; \
	    $(SUBMAKE) check-integration MARKS=soak || bad=1; exit $$bad

asan tsan:
	@$(SUBMAKE) VARIANT=$@ check

asan-short:
	@$(SUBMAKE) VARIANT=asan check-unit
	@$(SUBMAKE) VARIANT=asan MARKS="short and not soak" check-integration

cov:
	@$(SUBMAKE) VARIANT=cov check
	@$(PYTHON) tests/support/coverage.py build/cov

# The libraries and the targets are built with clang into build/fuzz/.
build/fuzz/fuzz_%: $(OBJ)/tests/fuzz/fuzz_%.o $(LIBS)
	@echo "  LINK  $@"
	@$(LINK) $^ $(ALL_LIBS) -o $@
fuzz-build: $(FUZZ_BIN)
fuzz:
	@$(SUBMAKE) VARIANT=fuzz fuzz-build
	@TIME="$(TIME)" tests/support/run_fuzz $(FUZZ_BIN)
fuzz-seeds:
	@$(SUBMAKE) VARIANT=fuzz fuzz-build
	@TIME=0 tests/support/run_fuzz $(FUZZ_BIN)

lint:
	@PYTHON="$(PYTHON)" LINT_CPPFLAGS='$(filter-out -DVERSION%,$(ALL_CPPFLAGS))' \
	    tests/lint/run $(CHECKS)

format:
	@clang-format -i $$(git ls-files '*.c' '*.h')

demo: deps
	@$(SUBMAKE) all
	@$(RUN_ENV) contrib/demo/run

clean:
	@rm -rf $(filter-out build/peers,$(wildcard build/*))

# ---- install ------------------------------------------------------------------
SBINDIR   ?= $(PREFIX)/sbin
MANDIR    ?= $(PREFIX)/share/man
UNITDIR   ?= $(PREFIX)/lib/systemd/system
install uninstall: export DESTDIR    := $(DESTDIR)
install uninstall: export PREFIX     := $(PREFIX)
install uninstall: export SYSCONFDIR := $(SYSCONFDIR)
install uninstall: export SBINDIR    := $(SBINDIR)
install uninstall: export MANDIR     := $(MANDIR)
install uninstall: export UNITDIR    := $(UNITDIR)
install uninstall: export BUILD      := $(BUILD)

install: all
	@contrib/install/files install

# What install put there, but for the configuration.
uninstall:
	@contrib/install/files uninstall

-include $(wildcard $(OBJ)/*/*.d $(OBJ)/*/*/*.d)
