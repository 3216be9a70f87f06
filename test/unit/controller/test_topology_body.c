// SPDX-License-Identifier: Apache-2.0
/* What an agent says as a NodeResourceTopology, whatever it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/topology_body.h"
#include "test/unit/controller/topology_acc.h"

static void test_body(void **state)
{
	static const char expected[] =
		"{\"apiVersion\":\"topology.node.k8s.io/v1alpha2\",\"kind\":"
		"\"NodeResourceTopology\",\"metadata\":{\"name\":\"n0\",\"ownerReferences\":["
		"{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n0\",\"uid\":\"u-node\"}]},"
		"\"zones\":[{\"name\":\"node-0\",\"type\":\"Node\",\"costs\":[{\"name\":\"node-0\","
		"\"value\":10}],\"resources\":[{\"name\":\"cpu\",\"capacity\":\"8\","
		"\"allocatable\":\"6\",\"available\":\"5\"}]}],\"attributes\":["
		"{\"name\":\"topologyManagerPolicy\",\"value\":\"single-numa-node\"},"
		"{\"name\":\"topologyManagerScope\",\"value\":\"pod\"},"
		"{\"name\":\"nodeTopologyPodsFingerprint\",\"value\":\"pfp0v001ef46db3751d8e999\"},"
		"{\"name\":\"nodeTopologyPodsFingerprintMethod\",\"value\":\"all\"}]}";
	struct json *a = acc("n0", "5"), *body = NULL, *want = cluster_parse(expected);
	uint64_t hash = 0, other = 0;

	assert_int_equal(topology_body(a, &body, &hash, NULL), 0);
	assert_int_equal(hash, topology_hash(body));
	assert_true(topology_is_ours(body, hash));
	assert_false(topology_is_ours(body, hash + 1));
	assert_false(topology_is_ours(want, hash));
	assert_int_equal(topology_hash(want), hash); /* metadata does not count */
	assert_int_equal(
		json_del((struct json *)json_path(body, "metadata"), "labels"), 0);
	assert_true(json_equal(body, want));
	json_free(a);
	json_free(body);
	a = acc("n0", "4");
	assert_int_equal(topology_body(a, &body, &other, NULL), 0);
	assert_true(other != hash);
	json_free(a);
	json_free(body);
	json_free(want);
}

/* An agent of a node that was broken into must not be able to harm the scheduler. */
static void test_hostile(void **state)
{
	static const struct {
		const char *name, *topology;
	} cases[] = {
		{ "no zones", "{}" },
		{ "a gap", "{\"zones\":[{\"name\":\"node-1\"}]}" },
		{ "another gap",
			"{\"zones\":[{\"name\":\"node-0\"},{\"name\":\"node-2\"}]}" },
		{ "out of order",
			"{\"zones\":[{\"name\":\"node-1\"},{\"name\":\"node-0\"}]}" },
		{ "twice", "{\"zones\":[{\"name\":\"node-0\"},{\"name\":\"node-0\"}]}" },
		{ "a number too high", "{\"zones\":[{\"name\":\"node-16\"}]}" },
		{ "a number with a zero in front",
			"{\"zones\":[{\"name\":\"node-00\"}]}" },
		{ "no name", "{\"zones\":[{}]}" },
		{ "no list", "{\"zones\":7}" },
		{ "less than nothing",
			"{\"zones\":[{\"name\":\"node-0\",\"resources\":[{\"name\":\"cpu\","
			"\"available\":-1}]}]}" },
		{ "more than a number can be",
			"{\"zones\":[{\"name\":\"node-0\",\"resources\":[{\"name\":\"cpu\","
			"\"capacity\":9223372036854775807}]}]}" },
		{ "half a CPU",
			"{\"zones\":[{\"name\":\"node-0\",\"resources\":[{\"name\":\"cpu\","
			"\"capacity\":0.5}]}]}" },
		{ "a cost below zero",
			"{\"zones\":[{\"name\":\"node-0\",\"costs\":[{\"name\":\"node-0\","
			"\"value\":-10}]}]}" },
		{ "a long word",
			"{\"policy\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			"aaaa\",\"zones\":[{\"name\":\"node-0\"}]}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json *a = acc("n0", NULL), *body = NULL;
		struct err e = { 0 };
		uint64_t hash;

		assert_int_equal(json_set((struct json *)json_get(a, "status"),
					 "topology", cluster_parse(cases[i].topology)),
			0);
		if (topology_body(a, &body, &hash, &e) != -EINVAL)
			fail_msg("case '%s' is published", cases[i].name);
		json_free(a);
	}
}

static void test_owner(void **state)
{
	static const char *const texts[] = {
		"{\"metadata\":{\"name\":\"a\"}}",
		"{\"metadata\":{\"name\":\"a\",\"ownerReferences\":[{\"kind\":\"Node\","
		"\"name\":\"b\",\"uid\":\"u\"},{\"kind\":\"Pod\",\"name\":\"a\",\"uid\":\"u\"},7]}}",
		"{}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct json *j = cluster_parse(texts[i]), *body = NULL;
		uint64_t hash;

		assert_int_equal(topology_body(j, &body, &hash, NULL), -EINVAL);
		json_free(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
