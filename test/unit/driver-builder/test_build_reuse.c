// SPDX-License-Identifier: Apache-2.0
/* A second kernel without a compile, where every imported CRC is equal, and only there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build_fixture.h"
#include "driver-builder/reuse.h"
#include "driver-builder/store.h"

/* Another kernel with -56's headers, but what @symbol and @option say. It cannot be built for: there
 * is nothing in its headers but what tells of it. */
static struct kernel other_kernel(struct fixture *f, unsigned n, const char *symbol,
	const char *salt, const char *option)
{
	struct kernel k = *f->new;
	char path[PATH_MAX], *text, *at;
	struct err e = { 0 };
	struct buf config;
	size_t len;

	(void)snprintf(k.release, sizeof(k.release), "6.1.0-%u-amd64", n);
	assert_true(asprintf(&k.headers, "%s/headers-%u", f->state, n) > 0);
	k.headers_in = k.headers;
	assert_int_equal(dir_make(k.headers, 0755, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/Module.symvers", f->new->headers);
	assert_int_equal(file_read(path, 64 << 20, &text, &len, &e), 0);
	if (symbol) {
		char line[128];

		(void)snprintf(line, sizeof(line), "\t%s\t", symbol);
		at = strstr(text, line);
		assert_non_null(at);
		at[-1] = at[-1] == '0' ? '1' : '0'; /* the CRC's last digit */
	}
	(void)snprintf(path, sizeof(path), "%s/Module.symvers", k.headers);
	assert_int_equal(file_write_atomic(path, text, len, 0644, &e), 0);
	free(text);
	assert_int_equal(kernel_config_read(f->new, &text, &e), 0);
	buf_init(&config, 4 << 20);
	assert_int_equal(buf_fmt(&config, "# made now\n%s", text), 0);
	at = strstr(config.data, "CONFIG_BUILD_SALT=\"6.1.0-56");
	assert_non_null(at);
	memcpy(at, salt, strlen(salt));
	assert_int_equal(buf_str(&config, option), 0);
	(void)snprintf(path, sizeof(path), "%s/.config", k.headers);
	assert_int_equal(file_write_atomic(path, config.data, config.len, 0644, &e), 0);
	buf_done(&config);
	free(text);
	return k;
}

/* What a build for @k would ask for, after the build of @from. */
static int try_reuse(struct fixture *f, const struct kernel *k,
	const struct artifact *from, const struct list *modules, const char *recipe)
{
	char key[DIGEST_HEX + 1], digest[DIGEST_HEX + 1], origin[DIGEST_HEX + 1] = "";
	const struct reuse_request q = { .root = f->kroot,
		.state = f->state,
		.driver = "edu",
		.driver_version = "1.0",
		.kernel = k,
		.key = key,
		.headers_digest = from->headers_digest,
		.recipe = recipe,
		.config_digest = digest,
		.modules = modules };
	struct artifact a = { 0 };
	struct err e = { 0 };
	char *config;
	int r;

	assert_int_equal(digest_bytes(k->release, strlen(k->release), key, &e), 0);
	assert_int_equal(kernel_config_read(k, &config, &e), 0);
	assert_int_equal(reuse_config(config, digest, &e), 0);
	free(config);
	r = reuse_try(&q, origin, &e);
	if (r < 0)
		fail_msg("%s", e.text);
	assert_int_equal(store_has(f->state, key), r);
	if (r == 0)
		return 0;
	assert_int_equal(store_get(f->state, key, &a, &e), 0);
	assert_string_equal(a.kernel, k->release);
	assert_string_equal(a.reused_from, origin);
	assert_string_equal(a.modules[0].sha256, from->modules[0].sha256);
	artifact_done(&a);
	return r;
}

static const struct {
	const char *name, *symbol, *salt, *option;
	int r;
} cases[] = {
	{ "equal", NULL, "CONFIG_BUILD_SALT=\"6.1.0-60", "", 1 },
	{ "another symbol", "usb_submit_urb", "CONFIG_BUILD_SALT=\"6.1.0-61", "", 1 },
	{ "a symbol of ours", "pci_enable_device", "CONFIG_BUILD_SALT=\"6.1.0-62", "",
		0 },
	{ "another layout", "module_layout", "CONFIG_BUILD_SALT=\"6.1.0-63", "", 0 },
	{ "another configuration", NULL, "CONFIG_BUILD_SALT=\"6.1.0-64", "CONFIG_NEW=y\n",
		0 },
};

static void try_cases(
	struct fixture *f, const struct artifact *first, const struct list *modules)
{
	static const struct api_module none = { .name = "none" };
	const struct list others = { (void *)(uintptr_t)&none, 1 };
	char recipe[DIGEST_HEX + 1];
	struct kernel k;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		k = other_kernel(
			f, 60 + i, cases[i].symbol, cases[i].salt, cases[i].option);
		if (try_reuse(f, &k, first, modules, first->recipe) != cases[i].r)
			fail_msg("case '%s'", cases[i].name);
		free(k.headers);
	}
	k = other_kernel(f, 70, NULL, "CONFIG_BUILD_SALT=\"6.1.0-70", "");
	memcpy(recipe, first->recipe, sizeof(recipe));
	recipe[5] = recipe[5] == '0' ? '1' : '0';
	assert_int_equal(try_reuse(f, &k, first, modules, recipe), 0);
	assert_int_equal(try_reuse(f, &k, first, modules, ""), 0);
	assert_int_equal(try_reuse(f, &k, first, &others, first->recipe), 0);
	free(k.headers);
}

static void damage(const struct artifact *a)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", a->dir, a->modules[0].file);
	assert_int_equal(file_write_atomic(path, "x", 1, 0644, NULL), 0);
}

static void test_reuse(void **state)
{
	struct fixture *f = *state;
	struct job *j = job(f, f->new, "edu", "edu", API_BUILD_AUTO);
	struct artifact first = { 0 }, second = { 0 };
	struct build_result *res;
	const char *keep[1];
	struct err e = { 0 };
	struct kernel k;

	need(f);
	res = run(j, 0, REASON_NONE);
	assert_int_equal(store_get(f->state, res->key, &first, &e), 0);
	/* Through the front door: its headers could not build anything. */
	k = other_kernel(f, 57, NULL, "CONFIG_BUILD_SALT=\"6.1.0-57", "");
	j->q.kernel = &k;
	/* What is to be compared with other nodes' builds has to be one. */
	j->q.is_compared = true;
	assert_true(build_run(&j->q, res, &e) < 0);
	assert_false(res->is_reused);
	j->q.is_compared = false;
	res = run(j, 0, REASON_NONE);
	assert_true(res->is_reused);
	assert_int_equal(res->build_seconds, 0);
	assert_string_equal(res->modules[0], "edu");
	assert_string_not_equal(res->key, first.key);
	assert_int_equal(store_get(f->state, res->key, &second, &e), 0);
	assert_string_equal(second.reused_from, first.key);
	assert_true(first.is_compiled);
	assert_false(second.is_compiled);
	assert_string_equal(second.modules[0].sha256, first.modules[0].sha256);
	assert_string_not_equal(second.headers_digest, first.headers_digest);
	free(k.headers);
	try_cases(f, &first, &j->spec.modules);
	/* A damaged one is no source, and nothing else is left. */
	keep[0] = first.key;
	assert_int_equal(store_gc(f->state, keep, 1, NULL, &e), 0);
	damage(&first);
	artifact_done(&second);
	k = other_kernel(f, 58, NULL, "CONFIG_BUILD_SALT=\"6.1.0-58", "");
	assert_int_equal(try_reuse(f, &k, &first, &j->spec.modules, first.recipe), 0);
	free(k.headers);
	artifact_done(&first);
}

static void test_config_digest(void **state)
{
	static const char *const same[] = {
		"# a\nCONFIG_A=y\nCONFIG_B=m\n",
		"CONFIG_BUILD_SALT=\"1\"\nCONFIG_A=y\n# CONFIG_C is not set\nCONFIG_B=m\n",
		"CONFIG_A=y\nCONFIG_LOCALVERSION=\"x\"\n\nCONFIG_B=m\n",
	};
	static const char *const others[] = { "", "CONFIG_A=y\n",
		"CONFIG_A=yCONFIG_B=m\n", "CONFIG_A=y\nCONFIG_B=y\n",
		"CONFIG_B=m\nCONFIG_A=y\n" };
	char a[DIGEST_HEX + 1], b[DIGEST_HEX + 1];
	size_t i;

	assert_int_equal(reuse_config(same[0], a, NULL), 0);
	for (i = 1; i < ARRAY_SIZE(same); i++) {
		assert_int_equal(reuse_config(same[i], b, NULL), 0);
		assert_string_equal(a, b);
	}
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(reuse_config(others[i], b, NULL), 0);
		assert_string_not_equal(a, b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reuse, setup, teardown),
		cmocka_unit_test(test_config_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
