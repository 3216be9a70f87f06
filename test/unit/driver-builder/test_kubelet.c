// SPDX-License-Identifier: Apache-2.0
/* The note of the kubelet's policies: written, kept, taken away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "driver-builder/kubelet.h"
#include "file.h"
#include "kubelet_policy.h"

#define MINUTE (60 * USEC_PER_SEC)

static char dir[64];

static int make_dir(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-kubelet-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return dir_remove(dir, NULL);
}

static void put(const char *name, const char *text, size_t len)
{
	char path[512];

	assert_int_equal(path_join(path, sizeof(path), dir, name, NULL), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	assert_int_equal(path_join(path, sizeof(path), dir, name, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, len, 0644, NULL), 0);
}
#define PUT(name, text) put(name, text, sizeof(text) - 1)

static void note(void **state)
{
	char root[128], proc[128], run[128], path[160];
	struct env env = { .root = root, .run = run, .proc = proc };
	/* As a plugin in a pod would read it. */
	struct kubelet_where where = { .root = run, .proc = run, .run = run };
	struct kubelet_policy p = { 0 };
	uint64_t last = 0, now = 5 * MINUTE;
	struct err e = { 0 };

	(void)snprintf(root, sizeof(root), "%s/host", dir);
	(void)snprintf(proc, sizeof(proc), "%s/proc", dir);
	(void)snprintf(run, sizeof(run), "%s/run", dir);
	(void)snprintf(path, sizeof(path), "%s/kubelet.json", run);
	assert_int_equal(dir_make(proc, 0755, NULL), 0);
	assert_int_equal(dir_make(run, 0755, NULL), 0);
	assert_int_equal(kubelet_note(&env, now, &last, &e), 0); /* no kubelet, no note */
	assert_false(file_exists(path));
	PUT("proc/77/comm", "kubelet\n");
	PUT("proc/77/cmdline", "/usr/bin/kubelet\0--config=/etc/k.yaml\0");
	PUT("host/etc/k.yaml",
		"apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
		"topologyManagerPolicy: restricted\ncpuManagerPolicy: static\n");
	assert_int_equal(kubelet_note(&env, now, &last, &e), KUBELET_NOT_YET);
	assert_int_equal(kubelet_note(&env, now += MINUTE, &last, &e), 1);
	assert_int_equal(kubelet_policy_read(&where, &p, &e), 0);
	assert_true(p.is_known);
	assert_string_equal(p.topology, "restricted");
	assert_string_equal(p.cpu, "static");
	assert_string_equal(p.source, "/etc/k.yaml");
	assert_int_equal(kubelet_note(&env, now += MINUTE, &last, &e), 0);
	/* What cannot be read is not known: no note of before stays. */
	PUT("host/etc/k.yaml", "junk");
	assert_int_equal(kubelet_note(&env, now += MINUTE, &last, &e), -EINVAL);
	assert_non_null(strstr(e.text, "'/etc/k.yaml'"));
	assert_false(file_exists(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(note, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
