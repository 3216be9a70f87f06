// SPDX-License-Identifier: Apache-2.0
/* plan.c, by cases: what is there, and what is done and said about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plan_world.h"

static void set_loaded(struct world *w, const char *srcversion, const char *wanted)
{
	w->modules[0][0].is_loaded = true;
	w->modules[0][0].srcversion = srcversion;
	w->modules[0][0].wanted_srcversion = wanted;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
