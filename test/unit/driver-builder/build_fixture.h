// SPDX-License-Identifier: Apache-2.0
/* A state folder, the Debian kernels of the cache, and jobs that build a driver of test/drivers for one. */
#pragma once

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver-builder/build.h"
#include "driver-builder/sandbox.h"
#include "driver-builder/verify.h"
#include "file.h"

#define OLD "6.1.0-47-amd64"
#define NEW "6.1.0-56-amd64"

struct fixture {
	char state[64];
	char kroot[512], drivers[512];
	struct kernels kernels;
	const struct kernel *old, *new;
};

static int setup(void **state)
{
	const char *cache = getenv("FARRIER_CACHE"), *source = getenv("FARRIER_SOURCE");
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	assert_non_null(f);
	(void)snprintf(f->state, sizeof(f->state), "/tmp/farrier-build-XXXXXX");
	assert_non_null(mkdtemp(f->state));
	(void)snprintf(f->kroot, sizeof(f->kroot), "%s/kroot",
		cache ? cache : "/var/cache/farrier");
	(void)snprintf(
		f->drivers, sizeof(f->drivers), "%s/test/drivers", source ? source : ".");
	if (kernels_scan(f->kroot, &f->kernels, &e) < 0)
		fail_msg("%s", e.text);
	f->old = kernels_find(&f->kernels, OLD);
	f->new = kernels_find(&f->kernels, NEW);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r = dir_remove(f->state, NULL);

	kernels_done(&f->kernels);
	free(f);
	return r;
}

/* Tests that need a kernel are skipped where the cache holds none. */
static void need(const struct fixture *f)
{
	char scratch[PATH_MAX];

	if (!f->old || !f->new || f->old->install != KERNEL_COMPLETE ||
		f->new->install != KERNEL_COMPLETE)
		skip();
	assert_int_equal(
		path_join(scratch, sizeof(scratch), f->state, "scratch", NULL), 0);
	assert_int_equal(dir_make(scratch, 0755, NULL), 0);
	if (sandbox_check("/", scratch, NULL) < 0)
		skip();
}

struct job {
	struct api_driver_spec spec;
	struct api_module module;
	struct build_request q;
	char path[PATH_MAX];
};

static struct job *job(struct fixture *f, const struct kernel *k, const char *driver,
	const char *module, int system)
{
	static struct job j;

	j = (struct job){ 0 };
	(void)snprintf(j.path, sizeof(j.path), "%s/%s", f->drivers, driver);
	j.module.name = module;
	j.spec.version = "1.0";
	j.spec.source.type = API_SOURCE_HOST;
	j.spec.source.host.present = true;
	j.spec.source.host.path = j.path;
	j.spec.build.system = system;
	j.spec.build.timeout_seconds = 250;
	if (module)
		j.spec.modules = (struct list){ &j.module, 1 };
	j.q = (struct build_request){
		.root = f->kroot,
		.source_root = "/",
		.state = f->state,
		.driver = driver,
		.spec = &j.spec,
		.kernel = k,
	};
	return &j;
}

static _unused_ struct build_result *run(struct job *j, int wanted, enum reason reason)
{
	static struct build_result res;
	struct err e = { 0 };
	int r = build_run(&j->q, &res, &e);

	if ((r < 0) != (wanted < 0) || res.err.reason != reason)
		fail_msg("%s for %s: %d %s: %s", j->q.driver, j->q.kernel->release, r,
			reason_name(res.err.reason), res.err.text);
	return &res;
}

static _unused_ int verify_one(struct fixture *f, const struct kernel *k,
	const char *path, struct verify_report *rep, struct err *e)
{
	struct verify_kernel *v = NULL;
	int r = verify_kernel_open(k, f->kroot, &v, e);

	assert_int_equal(r, 0);
	r = verify_files(v, &path, 1, rep, e);
	verify_kernel_free(v);
	return r;
}
