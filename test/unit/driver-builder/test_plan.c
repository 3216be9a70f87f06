// SPDX-License-Identifier: Apache-2.0
/* plan.c: by cases, and by random worlds in which every plan is carried out to its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"
#include "driver-builder/plan.h"

enum { KERNELS = 3, DRIVERS = 3, MODULES = 2 };

struct world {
	struct plan_kernel kernels[KERNELS];
	struct plan_driver drivers[DRIVERS];
	struct plan_module modules[DRIVERS][MODULES];
	struct plan_pair pairs[DRIVERS][KERNELS];
	struct plan_input in;
};

/* Two kernels (the second runs), one driver of one module with one device, nothing built. */
static void world_init(struct world *w, size_t kernels, size_t drivers)
{
	static const char *const releases[] = { "6.1.0-56", "6.1.0-47", "6.1.0-40" };
	static const char *const names[] = { "edu", "nv", "dfl" };

	memset(w, 0, sizeof(*w));
	for (size_t k = 0; k < kernels; k++)
		w->kernels[k] = (struct plan_kernel){ releases[k], k == 1, k == 0, false,
			true };
	for (size_t d = 0; d < drivers; d++) {
		w->modules[d][0].name = names[d];
		w->modules[d][1].name = "extra";
		w->drivers[d] = (struct plan_driver){
			.name = names[d],
			.generation = 2,
			.prebuild = true,
			.wants_device = true,
			.devices = 1,
			.modules = w->modules[d],
			.n_modules = 1,
			.pairs = w->pairs[d],
		};
	}
	w->in = (struct plan_input){ w->kernels, kernels, w->drivers, drivers, false };
}

static void set_pair(struct world *w, size_t d, size_t k, enum plan_artifact artifact,
	enum plan_installed installed)
{
	w->pairs[d][k].artifact = artifact;
	w->pairs[d][k].key = "key";
	w->pairs[d][k].installed = installed;
	if (artifact == PLAN_ARTIFACT_FAILED)
		w->pairs[d][k].failure = (struct plan_failure){ REASON_BUILD_FAILED,
			"edu.c:1: no", 500 };
}

static void set_loaded(struct world *w, const char *srcversion, const char *wanted)
{
	w->modules[0][0].is_loaded = true;
	w->modules[0][0].srcversion = srcversion;
	w->modules[0][0].wanted_srcversion = wanted;
}

/* "build:edu@6.1.0-47 …" */
static const char *actions_text(
	const struct world *w, const struct plan *p, struct buf *b)
{
	buf_init(b, 4096);
	for (size_t i = 0; i < p->n_actions; i++) {
		const struct plan_action *x = &p->actions[i];

		(void)buf_fmt(b, "%s%s", i ? " " : "", plan_verb_names[x->verb]);
		if (x->driver != SIZE_MAX)
			(void)buf_fmt(b, ":%s", w->drivers[x->driver].name);
		if (x->kernel != SIZE_MAX)
			(void)buf_fmt(b, "@%s", w->kernels[x->kernel].release);
	}
	return buf_cstr(b);
}

static void fresh(struct world *w)
{
}
static void running_ready(struct world *w)
{
	set_pair(w, 0, 1, PLAN_ARTIFACT_READY, PLAN_INSTALLED_NONE);
}
static void all_ready(struct world *w)
{
	set_pair(w, 0, 0, PLAN_ARTIFACT_READY, PLAN_INSTALLED_SAME);
	set_pair(w, 0, 1, PLAN_ARTIFACT_READY, PLAN_INSTALLED_SAME);
}
static void done(struct world *w)
{
	all_ready(w);
	set_loaded(w, "AAA", "AAA");
	w->drivers[0].bound = 1;
}
static void not_bound(struct world *w)
{
	done(w);
	w->drivers[0].bound = 0;
}
static void settling(struct world *w)
{
	not_bound(w);
	w->drivers[0].is_settling = true;
}
static void no_device(struct world *w)
{
	all_ready(w);
	w->drivers[0].devices = 0;
}
static void no_device_wanted(struct world *w)
{
	no_device(w);
	w->drivers[0].wants_device = false;
}
static void other_build(struct world *w)
{
	done(w);
	set_loaded(w, "OLD", "AAA");
}
static void other_build_by_note(struct world *w)
{
	done(w);
	set_loaded(w, NULL, "AAA");
	w->drivers[0].loaded_key = "otherkey";
}
static void same_source_other_build(struct world *w)
{
	done(w);
	w->drivers[0].loaded_key = "otherkey";
}
static void unknown_build(struct world *w)
{
	done(w);
	set_loaded(w, NULL, "AAA");
}
static void other_parameters(struct world *w)
{
	done(w);
	w->drivers[0].is_reload_needed = true;
}
static void may_reload(struct world *w)
{
	other_parameters(w);
	w->drivers[0].proceed_generation = 2;
}
static void bound_elsewhere(struct world *w)
{
	not_bound(w);
	w->drivers[0].unbound = "0000:00:04.0";
	w->drivers[0].unbound_driver = "rival";
}
static void bare(struct world *w)
{
	done(w);
	set_pair(w, 0, 1, PLAN_ARTIFACT_READY, PLAN_INSTALLED_NONE);
	w->kernels[1].is_bare = true;
}
static void bare_without_artifact(struct world *w)
{
	set_pair(w, 0, 0, PLAN_ARTIFACT_READY, PLAN_INSTALLED_SAME);
	set_pair(w, 0, 1, PLAN_ARTIFACT_FAILED, PLAN_INSTALLED_NONE);
	w->pairs[0][1].failure = (struct plan_failure){ REASON_HEADERS_MISSING,
		"no folder", UINT64_MAX };
	w->kernels[1].is_bare = true;
}
static void may_replace(struct world *w)
{
	other_build(w);
	w->drivers[0].proceed_generation = 2;
}
static void rolled_back(struct world *w)
{
	may_replace(w);
	w->drivers[0].load = (struct plan_failure){ REASON_LOAD_FAILED, "no",
		UINT64_MAX };
}
static void stale_permission(struct world *w)
{
	other_build(w);
	w->drivers[0].proceed_generation = 1;
}
static void paused(struct world *w)
{
	may_replace(w);
	w->drivers[0].paused = true;
	set_pair(w, 0, 0, PLAN_ARTIFACT_NONE, PLAN_INSTALLED_NONE);
}
static void unload(struct world *w)
{
	done(w);
	w->drivers[0].unload = true;
}
static void unloaded(struct world *w)
{
	w->drivers[0].unload = true;
}
static void unload_in_use(struct world *w)
{
	unload(w);
	w->drivers[0].load = (struct plan_failure){ REASON_MODULE_IN_USE, "held by 1",
		500 };
	set_pair(w, 0, 0, PLAN_ARTIFACT_NONE, PLAN_INSTALLED_NONE);
	set_pair(w, 0, 1, PLAN_ARTIFACT_NONE, PLAN_INSTALLED_NONE);
}
static void next_fails(struct world *w)
{
	done(w);
	set_pair(w, 0, 0, PLAN_ARTIFACT_FAILED, PLAN_INSTALLED_NONE);
}
static void next_failed_long_ago(struct world *w)
{
	next_fails(w);
	w->pairs[0][0].failure.retry_at_us = 100;
}
static void next_waits(struct world *w)
{
	done(w);
	set_pair(w, 0, 0, PLAN_ARTIFACT_WAITING, PLAN_INSTALLED_NONE);
	w->pairs[0][0].failure = (struct plan_failure){ REASON_HEADERS_MISSING,
		"no headers yet", 700 };
}
static void not_for_next(struct world *w)
{
	done(w);
	set_pair(w, 0, 0, PLAN_ARTIFACT_NOT_APPLICABLE, PLAN_INSTALLED_NONE);
}
static void running_build(struct world *w)
{
	set_pair(w, 0, 1, PLAN_ARTIFACT_BUILDING, PLAN_INSTALLED_NONE);
	w->in.is_building = true;
}
static void retried_build(struct world *w)
{
	set_pair(w, 0, 1, PLAN_ARTIFACT_FAILED, PLAN_INSTALLED_NONE);
	w->pairs[0][1].artifact = PLAN_ARTIFACT_BUILDING;
	w->drivers[0].prebuild = false;
	w->in.is_building = true;
}
static void next_retried(struct world *w)
{
	next_fails(w);
	w->pairs[0][0].artifact = PLAN_ARTIFACT_BUILDING;
	w->in.is_building = true;
}
static void orphan_build(struct world *w)
{
	done(w);
	w->in.is_building = true;
}
static void no_prebuild(struct world *w)
{
	w->drivers[0].prebuild = false;
}
static void install_failed(struct world *w)
{
	done(w);
	set_pair(w, 0, 0, PLAN_ARTIFACT_READY, PLAN_INSTALLED_NONE);
	w->pairs[0][0].install = (struct plan_failure){ REASON_DISK_FULL, "no", 500 };
}
static void load_failed(struct world *w)
{
	all_ready(w);
	w->drivers[0].load = (struct plan_failure){ REASON_LOAD_FAILED, "no", 500 };
}

static void awaiting(struct world *w)
{
	done(w);
	set_pair(w, 0, 0, PLAN_ARTIFACT_UNSIGNED, PLAN_INSTALLED_NONE);
	w->pairs[0][0].key = NULL;
	w->pairs[0][0].unsigned_key = "bare";
	w->pairs[0][0].failure = (struct plan_failure){ REASON_AWAITING_SIGNATURE,
		"waits", 0 };
}
static void running_awaits(struct world *w)
{
	awaiting(w);
	w->pairs[0][1] = w->pairs[0][0];
	w->pairs[0][1].installed = PLAN_INSTALLED_OTHER;
	w->drivers[0].proceed_generation = 2;
}
static void first_awaits(struct world *w)
{
	running_awaits(w);
	w->modules[0][0].is_loaded = false;
}
static void signature_there(struct world *w)
{
	awaiting(w);
	w->pairs[0][0].sign_key = "signed";
}
static void signature_there_paused(struct world *w)
{
	signature_there(w);
	w->drivers[0].paused = true;
}
static void signature_bad(struct world *w)
{
	signature_there(w);
	w->pairs[0][0].sign = (struct plan_failure){ REASON_KEY_REJECTED, "no", 600 };
	w->pairs[0][0].failure = w->pairs[0][0].sign;
}
static void other_signature(struct world *w)
{
	done(w);
	w->pairs[0][1].unsigned_key = "bare";
	w->pairs[0][1].sign_key = "newer";
}
static void awaiting_kept(struct world *w)
{
	awaiting(w);
	w->drivers[0].on_unbuildable = API_UNBUILDABLE_KEEP;
}

static void keep_wanted(struct world *w)
{
	next_fails(w);
	w->drivers[0].on_unbuildable = API_UNBUILDABLE_KEEP;
}
static void keep_while_waiting(struct world *w)
{
	next_waits(w);
	w->drivers[0].on_unbuildable = API_UNBUILDABLE_KEEP;
}
static void kept(struct world *w)
{
	keep_wanted(w);
	w->in.kept = w->kernels[1].release;
	w->in.is_keep_noted = true;
}
static void kept_and_ready(struct world *w)
{
	kept(w);
	set_pair(w, 0, 0, PLAN_ARTIFACT_READY, PLAN_INSTALLED_SAME);
}
static void kept_and_paused(struct world *w)
{
	kept_and_ready(w);
	w->drivers[0].paused = true;
}
static void keep_failed(struct world *w)
{
	keep_wanted(w);
	w->in.keep = (struct plan_failure){ REASON_INTERNAL, "no GRUB", 450 };
}
static void nothing_to_keep(struct world *w)
{
	keep_wanted(w);
	w->kernels[1].has_image = false;
}

static const struct {
	const char *name;
	void (*set)(struct world *w);
	const char *actions;
	enum api_driver_state state;
	enum reason reason;
	enum api_kernel_state next;
	uint64_t wake_at_us;
} cases[] = {
	{ "nothing is built: the running kernel comes first", fresh,
		"build:edu@6.1.0-47 build:edu@6.1.0-56", API_DRIVER_PENDING, REASON_NONE,
		API_KERNEL_PENDING, UINT64_MAX },
	{ "built for the running kernel: loaded before the next build", running_ready,
		"load:edu@6.1.0-47 install:edu@6.1.0-47 build:edu@6.1.0-56",
		API_DRIVER_BUILT, REASON_NONE, API_KERNEL_PENDING, UINT64_MAX },
	{ "all staged, not loaded", all_ready, "load:edu@6.1.0-47", API_DRIVER_BUILT,
		REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "done", done, "", API_DRIVER_LOADED, REASON_NONE, API_KERNEL_READY,
		UINT64_MAX },
	{ "loaded, not bound", not_bound, "", API_DRIVER_FAILED, REASON_DRIVER_NOT_BOUND,
		API_KERNEL_READY, UINT64_MAX },
	{ "loaded a moment ago", settling, "", API_DRIVER_PENDING, REASON_NONE,
		API_KERNEL_READY, UINT64_MAX },
	{ "no device: staged, not loaded", no_device, "", API_DRIVER_BUILT,
		REASON_DEVICE_ABSENT, API_KERNEL_READY, UINT64_MAX },
	{ "no device wanted: loaded", no_device_wanted, "load:edu@6.1.0-47",
		API_DRIVER_BUILT, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "another build is loaded: left alone", other_build, "",
		API_DRIVER_UPGRADE_REQUIRED, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "another build by our note", other_build_by_note, "",
		API_DRIVER_UPGRADE_REQUIRED, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "the same source, another build by our note", same_source_other_build, "",
		API_DRIVER_UPGRADE_REQUIRED, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "no srcversion and no note: taken as it is", unknown_build, "",
		API_DRIVER_LOADED, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "permission to replace", may_replace, "replace:edu@6.1.0-47",
		API_DRIVER_UPGRADE_REQUIRED, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "permission of another generation", stale_permission, "",
		API_DRIVER_UPGRADE_REQUIRED, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "loaded with other parameters: said, not touched", other_parameters, "",
		API_DRIVER_UPGRADE_REQUIRED, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "permission to load it again", may_reload, "replace:edu@6.1.0-47",
		API_DRIVER_UPGRADE_REQUIRED, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "another driver has the device", bound_elsewhere, "", API_DRIVER_FAILED,
		REASON_IN_TREE_CONFLICT, API_KERNEL_READY, UINT64_MAX },
	{ "no module folder: nothing to install into", bare, "", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "no module folder, nothing built", bare_without_artifact, "", API_DRIVER_FAILED,
		REASON_HEADERS_MISSING, API_KERNEL_READY, UINT64_MAX },
	{ "rolled back: not tried again by itself", rolled_back, "", API_DRIVER_FAILED,
		REASON_LOAD_FAILED, API_KERNEL_READY, UINT64_MAX },
	{ "paused: nothing happens", paused, "", API_DRIVER_UPGRADE_REQUIRED, REASON_NONE,
		API_KERNEL_PENDING, UINT64_MAX },
	{ "unload on intent", unload,
		"unload:edu uninstall:edu@6.1.0-47 uninstall:edu@6.1.0-56",
		API_DRIVER_PENDING, REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "unloaded: nothing is built any more", unloaded, "", API_DRIVER_UNLOADED,
		REASON_NONE, API_KERNEL_PENDING, UINT64_MAX },
	{ "unload refused: back-off", unload_in_use, "", API_DRIVER_FAILED,
		REASON_MODULE_IN_USE, API_KERNEL_PENDING, 500 },
	{ "next kernel cannot be built: said, not tried", next_fails, "",
		API_DRIVER_LOADED, REASON_NONE, API_KERNEL_FAILED, 500 },
	{ "the last good kernel is kept", keep_wanted, "keep@6.1.0-47", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_FAILED, 500 },
	{ "it is kept while headers are awaited", keep_while_waiting, "keep@6.1.0-47",
		API_DRIVER_LOADED, REASON_NONE, API_KERNEL_PENDING, 700 },
	{ "it is kept already", kept, "", API_DRIVER_LOADED, REASON_NONE,
		API_KERNEL_FAILED, 500 },
	{ "the next kernel is ready: let go", kept_and_ready, "let go", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "a paused driver keeps what it kept", kept_and_paused, "", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "keeping failed: back-off", keep_failed, "", API_DRIVER_LOADED, REASON_NONE,
		API_KERNEL_FAILED, 450 },
	{ "no good kernel to boot", nothing_to_keep, "", API_DRIVER_LOADED, REASON_NONE,
		API_KERNEL_FAILED, 500 },
	{ "back-off is over", next_failed_long_ago, "build:edu@6.1.0-56",
		API_DRIVER_LOADED, REASON_NONE, API_KERNEL_FAILED, UINT64_MAX },
	{ "half-installed kernel is waited for", next_waits, "", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_PENDING, 700 },
	{ "not for this kernel is no failure", not_for_next, "", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_NOT_APPLICABLE, UINT64_MAX },
	{ "a failed build is tried again: still failed", retried_build, "",
		API_DRIVER_FAILED, REASON_BUILD_FAILED, API_KERNEL_PENDING, UINT64_MAX },
	{ "the same for the next kernel", next_retried, "", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_FAILED, UINT64_MAX },
	{ "a build runs", running_build, "build:edu@6.1.0-56", API_DRIVER_BUILDING,
		REASON_NONE, API_KERNEL_PENDING, UINT64_MAX },
	{ "a build that nobody wants", orphan_build, "cancel", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_READY, UINT64_MAX },
	{ "prebuild: false", no_prebuild, "build:edu@6.1.0-47", API_DRIVER_PENDING,
		REASON_NONE, API_KERNEL_PENDING, UINT64_MAX },
	{ "installing failed", install_failed, "", API_DRIVER_LOADED, REASON_NONE,
		API_KERNEL_READY, 500 },
	{ "waits for a signature: not built again, not installed", awaiting, "",
		API_DRIVER_LOADED, REASON_NONE, API_KERNEL_PENDING, UINT64_MAX },
	{ "the running kernel's waits: what is loaded stays, permitted or not",
		running_awaits, "", API_DRIVER_PENDING, REASON_AWAITING_SIGNATURE,
		API_KERNEL_PENDING, UINT64_MAX },
	{ "the first one waits: not loaded", first_awaits, "", API_DRIVER_PENDING,
		REASON_AWAITING_SIGNATURE, API_KERNEL_PENDING, UINT64_MAX },
	{ "its signature came", signature_there, "sign:edu@6.1.0-56", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_PENDING, UINT64_MAX },
	{ "its signature came, paused", signature_there_paused, "", API_DRIVER_LOADED,
		REASON_NONE, API_KERNEL_PENDING, UINT64_MAX },
	{ "its signature is none: looked at again later", signature_bad, "",
		API_DRIVER_LOADED, REASON_NONE, API_KERNEL_PENDING, 600 },
	{ "another signature: what is ready stays ready", other_signature,
		"sign:edu@6.1.0-47", API_DRIVER_LOADED, REASON_NONE, API_KERNEL_READY,
		UINT64_MAX },
	{ "the last good kernel is kept while a signature is waited for", awaiting_kept,
		"keep@6.1.0-47", API_DRIVER_LOADED, REASON_NONE, API_KERNEL_PENDING,
		UINT64_MAX },
	{ "loading failed", load_failed, "", API_DRIVER_FAILED, REASON_LOAD_FAILED,
		API_KERNEL_READY, 500 },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena *a = arena_new(1 << 20);
		struct world w;
		struct plan p;
		struct buf b;

		world_init(&w, 2, 1);
		cases[i].set(&w);
		assert_int_equal(plan_make(a, &w.in, 200, &p), 0);
		if (!streq(actions_text(&w, &p, &b), cases[i].actions))
			fail_msg("case '%s': actions '%s'", cases[i].name, buf_cstr(&b));
		if (p.drivers[0].state != cases[i].state ||
			p.drivers[0].reason != cases[i].reason)
			fail_msg("case '%s': state %d reason %d", cases[i].name,
				p.drivers[0].state, p.drivers[0].reason);
		if (p.kernels[0] != cases[i].next)
			fail_msg(
				"case '%s': next kernel %d", cases[i].name, p.kernels[0]);
		if (p.wake_at_us != cases[i].wake_at_us)
			fail_msg("case '%s': wakes at %llu", cases[i].name,
				(unsigned long long)p.wake_at_us);
		buf_done(&b);
		arena_free(a);
	}
}

static uint64_t rng;
static uint64_t below(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static void world_random(struct world *w)
{
	world_init(w, 1 + below(KERNELS), 1 + below(DRIVERS));
	if (w->in.n_kernels == 1)
		w->kernels[0].is_running = below(4) > 0;
	w->kernels[w->in.n_kernels - 1].is_bare = below(4) == 0;
	w->kernels[below(w->in.n_kernels)].has_image = below(4) > 0;
	w->in.is_keep_noted = below(2);
	w->in.kept = w->in.is_keep_noted && below(2)
			     ? w->kernels[below(w->in.n_kernels)].release
			     : NULL;
	for (size_t d = 0; d < w->in.n_drivers; d++) {
		struct plan_driver *x = &w->drivers[d];

		x->unload = below(4) == 0;
		x->paused = below(6) == 0;
		x->prebuild = below(4) > 0;
		x->proceed_generation = (int64_t)below(4);
		x->devices = (int64_t)below(3);
		x->bound = x->devices;
		x->wants_device = below(3) > 0;
		x->is_reload_needed = below(4) == 0;
		x->on_unbuildable = (int)below(API_UNBUILDABLES_);
		x->n_modules = 1 + below(MODULES);
		x->loaded_key = below(2) ? "key" : below(2) ? "other" : NULL;
		if (below(4) == 0)
			x->load = (struct plan_failure){ REASON_LOAD_FAILED, "no",
				below(400) };
		for (size_t i = 0; i < x->n_modules; i++) {
			x->modules[i].is_loaded = below(2);
			x->modules[i].srcversion = below(3)   ? "AAA"
						   : below(2) ? "OLD"
							      : NULL;
			x->modules[i].wanted_srcversion = below(4) ? "AAA" : NULL;
		}
		for (size_t k = 0; k < w->in.n_kernels; k++) {
			set_pair(w, d, k, below(PLAN_ARTIFACTS_), below(3));
			if (x->pairs[k].artifact == PLAN_ARTIFACT_BUILDING)
				w->in.is_building = true;
			if (x->pairs[k].artifact == PLAN_ARTIFACT_UNSIGNED ||
				(x->pairs[k].artifact == PLAN_ARTIFACT_READY &&
					below(4) == 0)) {
				x->pairs[k].unsigned_key = "bare";
				x->pairs[k].sign_key = below(2) ? "key" : NULL;
			}
		}
	}
}

/* Only a kernel that can start and is good for every driver that holds is kept, and only where one
 * asks; nobody lets go while one asks. */
static void check_keep(const struct world *w, const struct plan *p)
{
	bool is_asked = false;

	for (size_t d = 0; d < w->in.n_drivers; d++)
		is_asked |= w->drivers[d].on_unbuildable == API_UNBUILDABLE_KEEP &&
			    !w->drivers[d].paused && !w->drivers[d].unload &&
			    p->kernels[d * w->in.n_kernels] != API_KERNEL_READY &&
			    p->kernels[d * w->in.n_kernels] != API_KERNEL_NOT_APPLICABLE;
	for (size_t i = 0; i < p->n_actions; i++) {
		const struct plan_action *x = &p->actions[i];

		if (x->verb == PLAN_LET_GO)
			assert_true(!is_asked && w->in.is_keep_noted);
		if (x->verb != PLAN_KEEP)
			continue;
		assert_true(is_asked);
		assert_int_equal(x->kernel, p->keep);
		assert_true(w->kernels[x->kernel].has_image);
		for (size_t d = 0; d < w->in.n_drivers; d++) {
			enum api_kernel_state s =
				p->kernels[d * w->in.n_kernels + x->kernel];

			if (!w->drivers[d].paused && !w->drivers[d].unload &&
				w->drivers[d].on_unbuildable != API_UNBUILDABLE_WARN)
				assert_true(s == API_KERNEL_READY ||
					    s == API_KERNEL_NOT_APPLICABLE);
		}
	}
}

/* What must hold for every plan, whatever the world. */
static void check_plan(const struct world *w, const struct plan *p)
{
	int last_rank = -1;

	check_keep(w, p);
	for (size_t i = 0; i < p->n_actions; i++) {
		const struct plan_action *x = &p->actions[i];
		const struct plan_driver *d = x->driver == SIZE_MAX
						      ? NULL
						      : &w->drivers[x->driver];

		if (d)
			assert_false(d->paused);
		if (x->verb == PLAN_UNLOAD || x->verb == PLAN_UNINSTALL)
			assert_true(d->unload);
		if (x->verb == PLAN_REPLACE)
			assert_int_equal(d->proceed_generation, d->generation);
		if (x->verb == PLAN_LOAD || x->verb == PLAN_REPLACE ||
			x->verb == PLAN_BUILD || x->verb == PLAN_INSTALL)
			assert_false(d->unload);
		if (x->verb == PLAN_LOAD || x->verb == PLAN_REPLACE) {
			assert_true(w->kernels[x->kernel].is_running);
			assert_int_equal(
				d->pairs[x->kernel].artifact, PLAN_ARTIFACT_READY);
		}
		if (x->verb == PLAN_SIGN)
			assert_true(!d->unload && d->pairs[x->kernel].sign_key);
		if (x->verb == PLAN_INSTALL)
			assert_int_equal(
				d->pairs[x->kernel].artifact, PLAN_ARTIFACT_READY);
		if (x->verb == PLAN_INSTALL || x->verb == PLAN_UNINSTALL)
			assert_false(w->kernels[x->kernel].is_bare);
		/* What is loaded is never loaded once more over itself. */
		if (x->verb == PLAN_LOAD && d->is_reload_needed)
			for (size_t m = 0; m < d->n_modules; m++)
				assert_false(d->modules[m].is_loaded);
		if (x->verb == PLAN_LOAD)
			assert_true(plan_is_same_build(d, &d->pairs[x->kernel]));
		if (x->verb == PLAN_BUILD) {
			const struct plan_kernel *k = &w->kernels[x->kernel];
			int rank = k->is_running ? 0 : k->is_next ? 1 : 2;

			assert_true(rank >= last_rank);
			last_rank = rank;
		}
	}
}

/* Carries an action out as if it succeeded. */
static void apply(struct world *w, const struct plan_action *x)
{
	struct plan_driver *d = x->driver == SIZE_MAX ? NULL : &w->drivers[x->driver];
	struct plan_pair *p = x->kernel == SIZE_MAX || !d ? NULL : &d->pairs[x->kernel];

	switch (x->verb) {
	case PLAN_UNLOAD:
		for (size_t i = 0; i < d->n_modules; i++)
			d->modules[i].is_loaded = false;
		d->load.reason = REASON_NONE;
		break;
	case PLAN_LOAD:
	case PLAN_REPLACE:
		for (size_t i = 0; i < d->n_modules; i++) {
			struct plan_module *m = &d->modules[i];

			if (m->is_loaded && x->verb == PLAN_LOAD)
				continue;
			m->is_loaded = true;
			m->srcversion = m->wanted_srcversion;
		}
		d->loaded_key = p->key;
		d->is_reload_needed = false;
		d->load.reason = REASON_NONE;
		break;
	case PLAN_SIGN:
		p->artifact = PLAN_ARTIFACT_READY;
		p->key = p->sign_key;
		p->sign_key = NULL;
		break;
	case PLAN_INSTALL:
		p->installed = PLAN_INSTALLED_SAME;
		break;
	case PLAN_UNINSTALL:
		p->installed = PLAN_INSTALLED_NONE;
		break;
	case PLAN_CANCEL:
		w->in.is_building = false;
		break;
	case PLAN_BUILD:
		p->artifact = PLAN_ARTIFACT_READY;
		break;
	case PLAN_KEEP:
		w->in.kept = w->kernels[x->kernel].release;
		w->in.is_keep_noted = true;
		break;
	case PLAN_LET_GO:
		w->in.kept = NULL;
		w->in.is_keep_noted = false;
		break;
	case PLAN_VERBS_:
		break;
	}
}

static void test_properties(void **state)
{
	for (uint64_t seed = 1; seed <= 20000; seed++) {
		struct arena *a = arena_new(1 << 20);
		struct world w;
		struct plan p;
		int rounds = 0;

		rng = seed * 0x9e3779b97f4a7c15ULL;
		world_random(&w);
		/* Each round carries everything out; builds that run end well in between. */
		do {
			assert_int_equal(plan_make(a, &w.in, 1000, &p), 0);
			check_plan(&w, &p);
			for (size_t i = 0; i < p.n_actions; i++)
				apply(&w, &p.actions[i]);
			for (size_t d = 0; d < w.in.n_drivers; d++)
				for (size_t k = 0; k < w.in.n_kernels; k++)
					if (w.pairs[d][k].artifact ==
						PLAN_ARTIFACT_BUILDING)
						w.pairs[d][k].artifact =
							PLAN_ARTIFACT_READY;
			w.in.is_building = false;
			if (++rounds > 5)
				fail_msg("seed %llu: no rest", (unsigned long long)seed);
		} while (p.n_actions > 0);
		arena_free(a);
	}
}

static void test_same_input_same_plan(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct buf b1, b2;
	struct plan p1, p2;
	struct world w;

	rng = 42;
	world_random(&w);
	assert_int_equal(plan_make(a, &w.in, 1, &p1), 0);
	assert_int_equal(plan_make(a, &w.in, 1, &p2), 0);
	assert_string_equal(actions_text(&w, &p1, &b1), actions_text(&w, &p2, &b2));
	buf_done(&b1);
	buf_done(&b2);
	arena_free(a);
}

static void test_no_memory(void **state)
{
	struct arena *a = arena_new(16);
	struct world w;
	struct plan p;

	world_init(&w, 2, 1);
	assert_int_equal(plan_make(a, &w.in, 1, &p), -ENOMEM);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_same_input_same_plan),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
