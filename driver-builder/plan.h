// SPDX-License-Identifier: Apache-2.0
/* Decides what the node agent does next, from what is wanted and what was observed: no I/O, no
 * clock, no memory but the arena. agent.c observes, asks here, and acts. */
#pragma once

#include "api.h"
#include "arena.h"
#include "reason.h"

/* What is known about one driver's artifact for one kernel. */
enum plan_artifact {
	PLAN_ARTIFACT_NONE, /* not in the store: has to be built */
	PLAN_ARTIFACT_WAITING, /* cannot be tried yet: the kernel is half installed */
	PLAN_ARTIFACT_BUILDING,
	PLAN_ARTIFACT_UNSIGNED, /* in the store, and waits for a signature from outside */
	PLAN_ARTIFACT_READY, /* in the store and verified against this kernel */
	PLAN_ARTIFACT_FAILED, /* tried again at retry_at_us */
	PLAN_ARTIFACT_NOT_APPLICABLE, /* the source says: not for this kernel */
	PLAN_ARTIFACTS_
};

/* What of the driver lies in the kernel's module folder for the host's own boot. */
enum plan_installed {
	PLAN_INSTALLED_NONE,
	PLAN_INSTALLED_OTHER, /* another build's files, or not all of them */
	PLAN_INSTALLED_SAME, /* the artifact's files, byte by byte */
};

/* A step that failed and is not tried again before its time; reason NONE: did not fail. */
struct plan_failure {
	enum reason reason;
	const char *message;
	uint64_t retry_at_us;
};

struct plan_pair {
	enum plan_artifact artifact;
	const char *key; /* content key, NULL when it cannot be told yet */
	const char *
		unsigned_key; /* of the artifact that @key is, or will be, signed from outside;
				     NULL: signed here or not at all */
	const char *
		sign_key; /* what signatures that are there now would make of it, and which the store
				 has not; NULL: nothing to do */
	struct plan_failure sign; /* why that failed */
	struct plan_failure
		failure; /* artifact FAILED, WAITING, UNSIGNED, NOT_APPLICABLE: why; BUILDING:
				       why the last try of the same failed, if it did */
	int64_t build_seconds;
	const char *digest; /* under which we published it; NULL: we did not */
	const char *unsigned_digest; /* said with it (publish.h); NULL: not known */
	enum plan_installed installed;
	const char *
		install_key; /* what the boot shall load: @key, or what worked before it */
	struct plan_failure install; /* why installing failed */
};

struct plan_module {
	const char *name; /* as in the spec */
	bool is_loaded;
	const char *srcversion; /* of the loaded one; NULL: the kernel does not say */
	const char *
		wanted_srcversion; /* of the artifact for the running kernel; NULL: unknown */
};

struct plan_driver {
	const char *name, *version;
	int64_t generation, proceed_generation;
	bool unload, paused, prebuild;
	bool wants_device; /* its spec names devices */
	int on_unbuildable; /* enum api_unbuildable */
	int64_t devices, bound; /* matching ones here; bound to one of its modules */
	const char *unbound; /* address of one that is not bound, for the message */
	const char *unbound_driver; /* another driver that has it; NULL: none */
	const char *
		loaded_key; /* artifact that our notes say is loaded in this boot; NULL: no note */
	const char *loaded_version; /* its driver version, NULL when not known */
	bool is_reload_needed; /* the right build, with other parameters than wanted */
	bool is_settling; /* loaded a moment ago: devices may still be binding */
	struct plan_failure load; /* the last load, replacement or unload */
	struct plan_module *modules;
	size_t n_modules;
	struct plan_pair *pairs; /* one for each kernel, same order */
};

struct plan_kernel {
	const char *release;
	bool is_running, is_next;
	bool is_bare; /* has no module folder: nothing can be installed for its boot */
	bool has_image; /* a boot loader can start it */
};

struct plan_input {
	struct plan_kernel *kernels; /* newest first */
	size_t n_kernels;
	struct plan_driver *drivers;
	size_t n_drivers;
	bool is_building; /* a build process exists, whatever it builds */
	const char *kept; /* kernel that the boot loader is kept at by us; NULL: none */
	bool is_keep_noted; /* something is to be put back, kept or not */
	struct plan_failure keep; /* the last try to keep or to let go */
};

enum plan_verb {
	PLAN_UNLOAD, /* modules of a driver whose unload is intended */
	PLAN_LOAD, /* modules that are not loaded, rivals out first */
	PLAN_REPLACE, /* unload another build's modules, load ours */
	PLAN_SIGN, /* puts signatures from outside behind the modules */
	PLAN_INSTALL, /* for the host's own boot */
	PLAN_UNINSTALL,
	PLAN_CANCEL, /* the running build is wanted by nobody any more */
	PLAN_KEEP, /* a good kernel stays what the next boot starts */
	PLAN_LET_GO, /* the boot loader's own choice counts again */
	PLAN_BUILD, /* one at a time: the first in order, when none runs */
	PLAN_VERBS_
};
extern const char *const plan_verb_names[];

struct plan_action {
	enum plan_verb verb;
	size_t driver,
		kernel; /* indices into the input; SIZE_MAX where it does not apply */
};

struct plan_say { /* of one driver, for the running kernel */
	enum api_driver_state state;
	enum reason reason;
	const char *message; /* arena, may be NULL */
};

struct plan {
	struct plan_action *actions;
	size_t n_actions;
	struct plan_say *drivers; /* one for each driver */
	enum api_kernel_state *kernels; /* [driver * n_kernels + kernel] */
	size_t keep; /* kernel at which the boot should be kept; SIZE_MAX: none */
	uint64_t wake_at_us; /* something becomes due then; UINT64_MAX: nothing */
};

/* Same input, same plan. -ENOMEM. */
int plan_make(struct arena *a, const struct plan_input *in, uint64_t now_us,
	struct plan *ret) _must_check_;

/* The key of what was built, whoever signs it: what is shared, and what other builds depend on. */
const char *plan_built_key(const struct plan_pair *p);

/* True when every module of @d that is loaded is the wanted build, as far as the kernel and our
 * notes can tell. */
bool plan_is_same_build(const struct plan_driver *d, const struct plan_pair *running);
