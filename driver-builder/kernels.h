// SPDX-License-Identifier: Apache-2.0
/* The kernels of a host: which are installed, how complete each is, which runs and which boots next. */
#pragma once

#include "err.h"

enum { KERNEL_RELEASE_MAX = 65, KERNELS_MAX = 256 };

/* How far the installation of one kernel has got, as its files say. Only KERNEL_COMPLETE can be
 * built for; the others are waited for, not failed. */
enum kernel_install {
	KERNEL_COMPLETE, /* modules and usable headers */
	KERNEL_NO_HEADERS, /* modules, but no headers (yet) */
	KERNEL_HEADERS_PARTIAL, /* headers are being unpacked, or belong to another release */
	KERNEL_NO_MODULES, /* a left-over or half-unpacked folder: headers at most */
	KERNEL_INSTALLS_
};
extern const char *const kernel_install_names[];

struct kernel {
	char release[KERNEL_RELEASE_MAX];
	enum kernel_install install;
	bool has_modules; /* modules.dep or kernel/ is there */
	bool has_dep; /* modules.dep is there: depmod ran, modprobe works */
	bool has_image; /* <root>/boot/vmlinuz-R or <root>/lib/modules/R/vmlinuz */
	bool is_running; /* uname -r */
	bool is_next; /* what a reboot would start, as far as the host says */
	bool is_extra; /* a spec asks for it, the host has not installed it: see kernels_add_extra() */
	char *headers; /* real path of the header tree as we see it; NULL */
	char *headers_in; /* the same as the host sees it (without the root in front); NULL */
	char *missing; /* what install misses, for people: "no 'Module.symvers' in '…'"; NULL */
};

struct kernels {
	struct kernel *items; /* newest first, by kernel_version_cmp() */
	size_t n;
};

/* Everything below <root>/lib/modules (a folder that is absent gives no kernels). @root "/" or a
 * mounted host root. "Next" is the newest with an image whose modules are there. Reads a few small files
 * per kernel, so that it can be called at every event. @ret is the caller's: kernels_done(). */
int kernels_scan(const char *root, struct kernels *ret, struct err *e) _must_check_;
void kernels_done(struct kernels *k);
/* Adds a release that the host has not installed, because something shall be built for it ahead: it is
 * COMPLETE when its headers are there, wherever headers are looked for, and NO_HEADERS or HEADERS_PARTIAL
 * otherwise; never running, never next. One whose modules are installed stays as it is. -EINVAL, -E2BIG. */
int kernels_add_extra(struct kernels *k, const char *root, const char *release,
	struct err *e) _must_check_;
/* The same of a single release whose headers are in a root of their own (headers.h): @ret, zeroed but for its
 * release, gets headers, headers_in and install. REASON_HEADERS_MISSING. The caller's: kernel_done(). */
int kernel_headers_find(struct kernel *ret, const char *root, struct err *e) _must_check_;
void kernel_done(struct kernel *k);
/* NULL when @release is not there. Borrowed. */
const struct kernel *kernels_find(const struct kernels *k, const char *release);
const struct kernel *kernels_running(const struct kernels *k);
const struct kernel *kernels_next(const struct kernels *k);

/* Orders as GRUB and dpkg do: 6.1.0-9 < 6.1.0-47, 6.12~rc1 < 6.12, 6.1.0-56 < 6.12.0-1. <0, 0, >0. */
int kernel_version_cmp(const char *a, const char *b);
/* True for something that can be a release: [A-Za-z0-9._+~-], not starting with '.' or '-'. */
bool kernel_release_is_valid(const char *s);

/* The value of "CONFIG_X" in the headers' include/config/auto.conf or .config, unquoted, into @out.
 * -ENOENT when it is not set, -ENOBUFS. */
int kernel_config_get(const struct kernel *k, const char *option, char *out, size_t size);
/* The whole configuration, for several questions: kernel_config_get() of a text read once. */
int kernel_config_read(const struct kernel *k, char **ret_text, struct err *e)
	_must_check_;
int kernel_config_find(const char *text, const char *option, char *out, size_t size);

/* The second folder of a header tree that comes in two (Debian's "-common"), as the host sees it, without
 * @root in front. -ENOENT when it is all in one. */
int kernel_headers_common(
	const struct kernel *k, const char *root, char *out, size_t size) _must_check_;

/* Resolves @path (absolute, as the host sees it) below @root, links included, as chroot would; a
 * link that already holds @root in front (an unpacked, relocated tree) is followed as it stands.
 * *ret_real is the path as we see it, the caller's. Never leaves @root: -ENOENT, -ELOOP. */
int root_resolve(const char *root, const char *path, char **ret_real, struct err *e)
	_must_check_;
/* "" for "/", else @root without the slashes at its end. -ENAMETOOLONG. */
int root_prefix(const char *root, char *out, size_t size) _must_check_;
