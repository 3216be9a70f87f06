// SPDX-License-Identifier: Apache-2.0
/* `preflight`, `gc`, `report`: exit status and effect, on a host made of files. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "driver-builder/cli.h"
#include "driver-builder/records.h"
#include "driver-builder/store.h"
#include "file.h"

#define RELEASE "6.1.0-47-amd64"
#define KEY_A "aa00000000000000000000000000000000000000000000000000000000000000"
#define KEY_B "bb00000000000000000000000000000000000000000000000000000000000000"

static char dir[64], state_dir[PATH_MAX], run_dir[PATH_MAX], manifests[PATH_MAX],
	out[PATH_MAX];

static void path_of(char ret[PATH_MAX], const char *file)
{
	assert_int_equal(path_join(ret, PATH_MAX, dir, file, NULL), 0);
}

static void put(const char *file, const char *text)
{
	char path[PATH_MAX], *slash;

	path_of(path, file);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-commands-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	path_of(state_dir, "state");
	path_of(run_dir, "run");
	path_of(manifests, "drivers.d");
	path_of(out, "report.json");
	put("lib/modules/" RELEASE "/modules.dep", "");
	put("lib/modules/" RELEASE "/kernel/a.ko", "");
	put("boot/vmlinuz-" RELEASE, "");
	return dir_make(manifests, 0755, NULL);
}

static int teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static int run(
	const char *command, const char *a, const char *b, const char *c, const char *d)
{
	const char *argv[] = { "farrier-driver-builder", command, "--root", dir,
		"--state", state_dir, "--run", run_dir, "--json", a, b, c, d };
	int argc = 9;

	while (argc < 13 && argv[argc])
		argc++;
	return cli_main(argc, (char **)argv);
}

#define DRIVER(source) \
	"apiVersion: farrier.dev/v1alpha1\n" \
	"kind: AcceleratorDriver\n" \
	"metadata: { name: edu }\n" \
	"spec:\n" \
	"  version: \"1\"\n" \
	"  devices: [ { bus: PCI, vendor: \"1234\" } ]\n" \
	"  source: { " source " }\n" \
	"  modules: [ { name: edu } ]\n"

static const struct {
	const char *name, *manifest, *kernel;
	int status;
} preflights[] = {
	{ "nothing is wanted", NULL, RELEASE, CLI_DONE },
	{ "no such kernel", NULL, "9.9", CLI_FAILED },
	{ "not built", DRIVER("type: Host, host: { path: /usr/src/edu }"), RELEASE,
		CLI_FAILED },
	{ "unreadable manifest", "kind: [", RELEASE, CLI_FAILED },
	{ "no kernel is named", NULL, NULL, CLI_USAGE },
};

static void test_preflight(void **state)
{
	char path[PATH_MAX];

	path_of(path, "drivers.d/edu.yaml");
	for (size_t i = 0; i < ARRAY_SIZE(preflights); i++) {
		int r;

		(void)unlink(path);
		if (preflights[i].manifest)
			put("drivers.d/edu.yaml", preflights[i].manifest);
		r = run("preflight", "--manifests", manifests,
			preflights[i].kernel ? "--kernel" : NULL, preflights[i].kernel);
		if (r != preflights[i].status)
			fail_msg("case '%s': %d", preflights[i].name, r);
	}
}

/* Records that cannot be read are none: nothing is known to be ready. */
static void test_preflight_damaged(void **state)
{
	put("state/builds.json", "{\"version\":1,");
	put("drivers.d/edu.yaml", DRIVER("type: Host, host: { path: /usr/src/edu }"));
	assert_int_equal(run("preflight", "--manifests", manifests, "--kernel", RELEASE),
		CLI_FAILED);
}

static void store(const char *key)
{
	struct artifact a = { .kernel = RELEASE, .driver = "edu" };
	struct artifact_module m = { .name = "edu", .file = "modules/edu.ko" };
	struct store_txn *t;
	char path[PATH_MAX];

	put("edu.ko", key);
	path_of(path, "edu.ko");
	(void)snprintf(a.key, sizeof(a.key), "%s", key);
	(void)snprintf(a.created_at, sizeof(a.created_at), "2026-01-01T00:00:00Z");
	a.modules = &m;
	a.modules_n = 1;
	assert_int_equal(store_begin(state_dir, &t, NULL), 0);
	assert_int_equal(store_txn_add(t, path, m.file, NULL), 0);
	assert_int_equal(store_commit(t, &a, NULL), 0);
}

static void record(const char *kernel, const char *key)
{
	struct record rec = { .build_seconds = 1 };
	struct records *r;

	(void)snprintf(rec.driver, sizeof(rec.driver), "edu");
	(void)snprintf(rec.kernel, sizeof(rec.kernel), "%s", kernel);
	(void)snprintf(rec.key, sizeof(rec.key), "%s", key);
	assert_int_equal(records_new(&r), 0);
	assert_int_equal(records_read(r, state_dir, NULL), 0);
	assert_int_equal(records_set(r, &rec), 0);
	assert_int_equal(records_write(r, state_dir, NULL), 0);
	records_free(r);
}

static void test_gc(void **state)
{
	assert_int_equal(run("gc", NULL, NULL, NULL, NULL), CLI_DONE); /* nothing there */
	store(KEY_A);
	store(KEY_B);
	/* Lost records are not a store that nobody needs. */
	assert_int_equal(run("gc", NULL, NULL, NULL, NULL), CLI_FAILED);
	assert_true(store_has(state_dir, KEY_A) && store_has(state_dir, KEY_B));
	record(RELEASE, KEY_A);
	record("5.10.0-1", KEY_B); /* of a kernel that left long ago */
	assert_int_equal(run("gc", "--dry-run", NULL, NULL, NULL), CLI_DONE);
	assert_true(store_has(state_dir, KEY_A) && store_has(state_dir, KEY_B));
	assert_int_equal(run("gc", NULL, NULL, NULL, NULL), CLI_DONE);
	assert_true(store_has(state_dir, KEY_A));
	assert_false(store_has(state_dir, KEY_B));
}

static struct json *report(void)
{
	struct json *j = NULL;
	struct err e = { 0 };
	char *text;
	size_t len;

	assert_int_equal(run("report", "--manifests", manifests, "--out", out), CLI_DONE);
	assert_int_equal(file_read(out, 1 << 20, &text, &len, NULL), 0);
	assert_null(strstr(text, "hush"));
	if (json_parse(text, len, &j, &e) < 0)
		fail_msg("%s", e.text);
	free(text);
	return j;
}

static void test_report(void **state)
{
	struct json *j;

	/* On a host with nothing on it. */
	j = report();
	assert_non_null(json_path(j, "status.error"));
	json_free(j);

	put("drivers.d/edu.yaml",
		DRIVER("type: HTTP, http: { url: 'https://me:hush@example.org/e.tgz?sig=hush',"
		       " sha256: " KEY_A " }"));
	put("drivers.d/inline.yaml",
		"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\n"
		"metadata: { name: small }\nspec:\n  version: \"1\"\n"
		"  devices: [ { bus: PCI, vendor: \"1234\" } ]\n"
		"  source: { type: Inline, inline: { files: { Kbuild: 'hush' } } }\n"
		"  modules: [ { name: small } ]\n");
	put("run/reboot-hold", "9.9 edu BuildFailed password=hush\n");
	put("state/failures/x.log.gz", "not compressed, Bearer hush");
	store(KEY_A);
	record(RELEASE, KEY_A);
	j = report();
	assert_int_equal(json_len(json_get(j, "drivers")), 2);
	assert_int_equal(json_len(json_get(j, "kernels")), 1);
	assert_int_equal(json_len(json_get(j, "artifacts")), 1);
	assert_int_equal(json_len(json_get(j, "buildLogs")), 1);
	assert_string_equal(
		json_get_str(j, "rebootHold"), "9.9 edu BuildFailed password=***\n");
	assert_non_null(json_path(j, "builds.version"));
	json_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_preflight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_preflight_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gc, setup, teardown),
		cmocka_unit_test_setup_teardown(test_report, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
