// SPDX-License-Identifier: Apache-2.0
/*
 * dkms.conf: a shell script, evaluated by bash inside the sandbox and never parsed by guess. What it
 * leaves in its variables comes back as NUL-separated NAME=VALUE and NAME[i]=VALUE records, which
 * the pure dkms_parse() reads.
 *
 * Supported: PACKAGE_NAME, PACKAGE_VERSION, MAKE[], MAKE_MATCH[], CLEAN, BUILT_MODULE_NAME[] and
 * _LOCATION[], DEST_MODULE_NAME[] and _LOCATION[], BUILD_EXCLUSIVE_KERNEL/_KERNEL_MIN/_KERNEL_MAX/
 * _ARCH/_CONFIG, BUILD_DEPENDS[], OBSOLETE_BY (as _KERNEL_MAX, where there is none), PATCH[]/PATCH_MATCH[], PRE_BUILD, POST_BUILD, STRIP[]. Those about installing on a host (POST_INSTALL, …) do not
 * concern us.
 */
#pragma once

#include "arena.h"
#include "err.h"

enum { DKMS_MODULES_MAX = 255, DKMS_RECORDS_MAX = 4096, DKMS_BYTES_MAX = 1 << 20 };

struct dkms_module {
	const char *name; /* BUILT_MODULE_NAME, without .ko */
	const char *
		location; /* folder below the build folder, "" for the build folder itself */
	const char *dest_name; /* the name it is installed under */
	const char *dest_location; /* DEST_MODULE_LOCATION as written: for people only */
	bool strip;
};

struct dkms {
	const char *package, *version;
	const char *
		make; /* the command for this kernel, with -j and KERNELRELEASE as DKMS puts them */
	const char *clean; /* "" when there is none */
	const char *pre_build,
		*post_build; /* "" or a command, relative to the build folder */
	struct dkms_module *modules;
	size_t modules_n;
	const char **patches; /* those that match this kernel, relative to patches/ */
	size_t patches_n;
	const char **
		depends; /* BUILD_DEPENDS[]: other packages, whose symbols this one uses */
	size_t depends_n;
};

/* What dkms_parse() must know of the kernel. */
struct dkms_kernel {
	const char *release, *arch; /* "6.1.0-56-amd64", "x86_64" */
	const char *source_dir; /* $kernel_source_dir, as the sandbox sees it */
	const char *config; /* text of the kernel's configuration, may be NULL */
	unsigned jobs;
};

#define DKMS_TREE "/var/lib/dkms" /* $dkms_tree, as the sandbox sees it */

/* The bash script that evaluates ./dkms.conf and writes the records to the file $1. The variables
 * kernelver, arch, kernel_source_dir, dkms_tree, source_tree and parallel_jobs come through the environment. */
extern const char dkms_script[];

/* Pure. Everything in @ret lies in @a. REASON_NOT_FOR_THIS_KERNEL (-ENOTSUP) when a BUILD_EXCLUSIVE_
 * clause excludes the kernel, REASON_SOURCE_INVALID for what cannot be used: no name or version, no
 * module, path escapes, bad expressions, malformed records. */
int dkms_parse(struct arena *a, const char *data, size_t len,
	const struct dkms_kernel *kernel, struct dkms *ret, struct err *e) _must_check_;

/* <0, 0, >0, as DKMS orders kernels: "3.4.999" < "3.5-rc2" and "4.12" < "4.12-rc1" < "4.12.3". Pure. */
int dkms_version_cmp(const char *a, const char *b);
