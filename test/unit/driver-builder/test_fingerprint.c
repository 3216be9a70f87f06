// SPDX-License-Identifier: Apache-2.0
/* Fingerprints of sets of pods that other implementations have published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "driver-builder/fingerprint.h"

enum { PODS_MAX = 16 };

static const struct {
	const char *name;
	const char *pods[PODS_MAX]; /* namespace, name, … */
	const char *expected;
} cases[] = {
	{ "none", { NULL }, "pfp0v001ef46db3751d8e999" },
	{ "one", { "default", "nginx" }, "pfp0v0016a5a78cfbc52d821" },
	{ "two", { "default", "nginx", "kube-system", "coredns-abc" },
		"pfp0v001e598b4ac7f1b1e44" },
	{ "two, the other way round",
		{ "kube-system", "coredns-abc", "default", "nginx" },
		"pfp0v001e598b4ac7f1b1e44" },
};

static void test_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char out[FINGERPRINT_MAX];
		uint64_t hashes[PODS_MAX];
		size_t n = 0;

		for (size_t k = 0; k + 1 < PODS_MAX && cases[i].pods[k]; k += 2)
			hashes[n++] = fingerprint_pod(
				cases[i].pods[k], cases[i].pods[k + 1]);
		fingerprint_make(hashes, n, out);
		if (strcmp(out, cases[i].expected) != 0)
			fail_msg("case '%s': %s", cases[i].name, out);
	}
}

/* The compatibility set "small, 10 pods, 3 namespaces" of the package that defines the fingerprint. */
static void test_compatible(void **state)
{
	static const char *const pods[][2] = {
		{ "analytics", "controller-69dkj" },
		{ "kube-public", "subscriber-tq6v7" },
		{ "kube-public", "transformer-hfbng" },
		{ "kube-public", "validator-c6pn5" },
		{ "kube-system", "proxy-wszrd" },
		{ "middleware", "processor-jkrl4" },
		{ "network", "gateway-vsll5" },
		{ "network", "importer-kzdfr" },
		{ "network", "importer-q5vt9" },
		{ "staging", "prometheus-bwgbn" },
	};
	uint64_t hashes[ARRAY_SIZE(pods)];
	char out[FINGERPRINT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(pods); i++)
		hashes[i] = fingerprint_pod(pods[i][0], pods[i][1]);
	fingerprint_make(hashes, ARRAY_SIZE(pods), out);
	assert_string_equal(out, "pfp0v001567144e4a561bb5a");
	/* One pod less is another set. */
	for (size_t i = 0; i < ARRAY_SIZE(pods); i++)
		hashes[i] = fingerprint_pod(pods[i][0], pods[i][1]);
	fingerprint_make(hashes, ARRAY_SIZE(pods) - 1, out);
	assert_string_not_equal(out, "pfp0v001567144e4a561bb5a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_compatible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
