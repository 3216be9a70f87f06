# SPDX-License-Identifier: Apache-2.0
# Farrier: builds, checks and shows itself. `make help` lists the commands.
#
#   build/            optimised objects and the three programs
#   build/san/        the same with ASan and UBSan, for the tests
#
# A part is a folder of .c files: lib/ and each of PARTS become a static library, the file main.c of a
# part becomes its program build/farrier-PART. test/unit/PART/test_X.c becomes a test linked to both.

PARTS   := driver-builder device-plugin controller
B       := build
V       ?= 0
Q       := $(if $(filter 0,$(V)),@,)
say      = $(if $(filter 0,$(V)),@printf '  %-7s %s\n' '$(1)' '$(2)',)

VERSION := 0.1.0
# Compiles of unchanged sources come from the cache where ccache is installed (make test installs it).
CCACHE  := $(shell command -v ccache 2>/dev/null)
export CCACHE_DIR ?= $(or $(FARRIER_CACHE),/var/cache/farrier)/ccache
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CCACHE_MAXSIZE := 2G
CC      := $(CCACHE) gcc
PKGS    := libcurl json-c libkmod libudev yaml-0.1 libnghttp2 libprotobuf-c libcrypto libarchive zlib
CPPFLAGS := -D_GNU_SOURCE -DFARRIER_VERSION='"$(VERSION)"' -iquote lib -I$(B)/gen
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
           -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wno-unused-parameter -Wno-missing-field-initializers
CFLAGS  ?= -O2 -g
CSTD    := -std=gnu17 -fno-strict-aliasing -fstack-protector-strong -ffile-prefix-map=$(CURDIR)/=
SAN     := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS := -Wl,--as-needed -Wl,-z,relro,-z,now
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)

# Each program links only what it uses: the linker drops the rest (--as-needed).
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

.DEFAULT_GOAL := all
# Kept; and not .SECONDARY, with which a header that moved leaves old objects in force.
.PRECIOUS: $(B)/obj/%.o $(B)/san/obj/%.o $(B)/fuzz/obj/%.o
.DELETE_ON_ERROR:

src       = $(sort $(wildcard $(1)/*.c))
PROGRAMS := $(foreach p,$(PARTS),$(if $(wildcard $(p)/main.c),$(B)/farrier-$(p)))

all: $(PROGRAMS) ## build the three programs

# --- compiling: one rule for plain objects, one for sanitized ones ------------------------------
$(B)/obj/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CSTD) $(WARN) $(PKG_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/san/obj/%.o: %.c
	$(call say,CC+SAN,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -I. $(CSTD) $(WARN) $(PKG_CFLAGS) $(SAN) -MMD -MP -c -o $@ $<

# --- the kubelet's messages: protobuf-c code made from PART/NAME.proto ----------------------------
gen       = $(patsubst $(1)/%.proto,$(B)/gen/%.pb-c.c,$(wildcard $(1)/*.proto))
$(foreach p,$(PARTS),$(eval GEN_$(p) := $(call gen,$(p))))
GEN_H    := $(patsubst %.c,%.h,$(foreach p,$(PARTS),$(GEN_$(p))))
define gen_rules
$(GEN_$(1)): $(B)/gen/%.pb-c.c: $(1)/%.proto
	$$(call say,PROTOC,$$<)
	@mkdir -p $$(@D)
	$$(Q)protoc-c --proto_path=$$(<D) --c_out=$$(@D) $$<
$(patsubst %.c,$(B)/obj/%.o,$(call src,$(1))) \
$(patsubst %.c,$(B)/san/obj/%.o,$(call src,$(1)) $(wildcard test/unit/$(1)/*.c)): | $(GEN_H)
endef
$(foreach p,$(PARTS),$(if $(GEN_$(p)),$(eval $(call gen_rules,$(p)))))
$(GEN_H): %.h: %.c ;
gen: $(GEN_H) # for hack/arm64.sh

define part_rules
$(B)/lib$(1).a: $$(patsubst %.c,$(B)/obj/%.o,$$(filter-out $(1)/main.c,$$(call src,$(1))) $$(GEN_$(1)))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
$(B)/san/lib$(1).a: $$(patsubst %.c,$(B)/san/obj/%.o,$$(filter-out $(1)/main.c,$$(call src,$(1))) $$(GEN_$(1)))
	$$(call say,AR+SAN,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach p,lib $(PARTS),$(eval $(call part_rules,$(p))))

define program_rules
$(B)/farrier-$(1): $(B)/obj/$(1)/main.o $(B)/lib$(1).a $(B)/liblib.a
	$$(call say,LD,$$@)
	$$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $$@ $$^ $(PKG_LIBS)
$(B)/san/farrier-$(1): $(B)/san/obj/$(1)/main.o $(B)/san/lib$(1).a $(B)/san/liblib.a
	$$(call say,LD+SAN,$$@)
	$$(Q)$(CC) $(SAN) $(LDFLAGS) -o $$@ $$^ $(PKG_LIBS)
endef
$(foreach p,$(PARTS),$(eval $(call program_rules,$(p))))

san-programs: $(patsubst $(B)/%,$(B)/san/%,$(PROGRAMS)) ## the programs with sanitizers, for test stages

# --- unit tests ----------------------------------------------------------------------------------
UNIT := $(foreach p,lib $(PARTS),$(patsubst test/unit/$(p)/%.c,$(B)/unit/$(p)/%,$(wildcard test/unit/$(p)/test_*.c)))

define unit_rules
$(B)/unit/$(1)/%: $(B)/san/obj/test/unit/$(1)/%.o $(if $(filter lib,$(1)),,$(B)/san/lib$(1).a) $(B)/san/liblib.a
	$$(call say,LD+SAN,$$@)
	@mkdir -p $$(@D)
	$$(Q)$(CC) $(SAN) $(LDFLAGS) -o $$@ $$^ $(PKG_LIBS) -lcmocka
endef
$(foreach p,lib $(PARTS),$(eval $(call unit_rules,$(p))))

unit: $(UNIT)
check: $(UNIT) ## unit tests, under ASan and UBSan; one to two minutes
	$(Q)hack/check.sh $(UNIT)

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# --- the rest is scripts -------------------------------------------------------------------------
setup: ## install what building and testing needs (Debian packages, as root)
	$(Q)hack/setup.sh
test: ## everything that CI runs, set-up included
	$(Q)test/run.sh
test-long: ## what is too long for `make test`
	$(Q)test/run.sh --long
demo: ## a node upgrades its kernel and gets its accelerators back (KEEP=1 leaves it up)
	$(Q)test/demo.sh
demo-standalone: ## the same without any cluster, with NVIDIA's driver beside it (BIG=fbar: without)
	$(Q)test/standalone/demo.sh
lint: ## format, clang-tidy, cppcheck, banned calls, direction of includes
	$(Q)hack/lint.sh
check-arm64: ## compile every source for arm64
	$(Q)hack/arm64.sh
print-cflags: # for hack/arm64.sh
	$(info $(CPPFLAGS) -I. $(CSTD) $(WARN) $(PKG_CFLAGS) $(CFLAGS))@:
bench: ## figures, each as a ratio to a peer measured in the same run
	$(Q)test/bench/run.sh
image: all ## container images into build/images, without a registry
	$(Q)hack/image.sh
cluster: ## build the test cluster's programs into the cache
	$(Q)test/cluster/build.sh

# --- fuzzing: the same sources with clang's libFuzzer; test/fuzz/fuzz_X.c becomes build/fuzz/fuzz_X -------
FUZZ_CC := $(CCACHE) clang-14
FUZZ_SAN := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ := $(patsubst test/fuzz/%.c,$(B)/fuzz/%,$(wildcard test/fuzz/fuzz_*.c))

$(B)/fuzz/obj/%.o: %.c | $(GEN_H)
	$(call say,CC+FUZZ,$<)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(CPPFLAGS) -I. $(CSTD) $(filter-out -Werror,$(WARN)) $(PKG_CFLAGS) $(FUZZ_SAN) \
		-fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<
fuzz_objs = $(patsubst %.c,$(B)/fuzz/obj/%.o,$(filter-out $(1)/main.c,$(call src,$(1))) $(GEN_$(1)))
$(B)/fuzz/libparts.a: $(foreach p,lib device-plugin driver-builder,$(call fuzz_objs,$(p)))
	$(call say,AR+FUZZ,$@)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/fuzz/fuzz_%: $(B)/fuzz/obj/test/fuzz/fuzz_%.o $(B)/fuzz/libparts.a
	$(call say,LD+FUZZ,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_SAN) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(PKG_LIBS)
fuzz-targets: $(FUZZ)
fuzz: ## fuzz the parsers (FUZZ_SECONDS each, 30)
	$(Q)test/fuzz/run.sh

# --- docs/api.md, from the field tables; test/unit/lib/test_apidoc.c says when it is out of date -------
$(B)/apidoc: $(B)/obj/hack/apidoc.o $(B)/liblib.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)
docs: $(B)/apidoc ## write docs/api.md from the field tables
	$(Q)$(B)/apidoc > docs/api.md

manifests: ## render the chart for manifests/kustomize/base
	$(Q)hack/kustomize.sh >manifests/kustomize/base/farrier.yaml

PREFIX ?= /usr
install: all ## install to DESTDIR
	$(Q)hack/install.sh "$(DESTDIR)" "$(PREFIX)"

clean: ## remove build/
	$(Q)rm -rf $(B)
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s'|'

.PHONY: all gen docs manifests san-programs unit check setup test test-long demo demo-standalone lint check-arm64 print-cflags bench image cluster fuzz fuzz-targets install clean help
