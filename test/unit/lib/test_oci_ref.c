// SPDX-License-Identifier: Apache-2.0
/* References, manifests, challenges and credentials of registries: the pure part of the client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json.h"
#include "oci.h"
#include "oci_auth.h"

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" DIGITS

/* ---- references ---- */

static void test_refs(void **state)
{
	static const struct {
		const char *name, *text;
		const char *host, *repo, *tag, *digest; /* host NULL: refused */
		bool is_plain;
	} cases[] = {
		{ "plain name", "reg.example/edu", "reg.example", "edu", "", "", false },
		{ "port and tag", "reg.example:5000/a/b_c:v1.0", "reg.example:5000",
			"a/b_c", "v1.0", "", false },
		{ "digest", "r.example/a@" DIGEST, "r.example", "a", "", DIGEST, false },
		{ "tag and digest", "r.example/a:b@" DIGEST, "r.example", "a", "b",
			DIGEST, false },
		{ "loopback", "127.0.0.1:5000/a", "127.0.0.1:5000", "a", "", "", true },
		{ "localhost", "localhost/a", "localhost", "a", "", "", true },
		{ "IPv6 loopback", "[::1]:5000/a", "[::1]:5000", "a", "", "", true },
		{ "loopback with TLS", "https://127.0.0.1/a", "127.0.0.1", "a", "", "",
			false },
		{ "explicitly plain", "http://reg.example/a", "reg.example", "a", "", "",
			true },
		{ "name like loopback", "127.0.0.1.example/a", "127.0.0.1.example", "a",
			"", "", false },
		{ "Docker's", "docker.io/library/x", "registry-1.docker.io", "library/x",
			"", "", false },
		{ "dashes", "r.example/a--b/c__d", "r.example", "a--b/c__d", "", "",
			false },
		{ .name = "no registry", .text = "library/edu" },
		{ .name = "no repository", .text = "reg.example/" },
		{ .name = "no slash", .text = "reg.example" },
		{ .name = "empty", .text = "" },
		{ .name = "capitals", .text = "r.example/Edu" },
		{ .name = "dots", .text = "r.example/a/../b" },
		{ .name = "empty part", .text = "r.example/a//b" },
		{ .name = "question", .text = "r.example/a?x=y" },
		{ .name = "bad port", .text = "r.example:x/a" },
		{ .name = "user", .text = "u@r.example/a" },
		{ .name = "short digest", .text = "r.example/a@sha256:12" },
		{ .name = "other digest", .text = "r.example/a@md5:" DIGITS },
		{ .name = "empty tag", .text = "r.example/a:" },
		{ .name = "tag with slash", .text = "r.example/a:b/c" },
		{ .name = "line end", .text = "r.example/a\r\nX: y" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oci_ref f = { .host = "untouched" };
		struct err e = { 0 };
		int r = oci_ref_parse(cases[i].text, &f, &e);

		if (!cases[i].host) {
			if (r != -EINVAL || !*e.text || !streq(f.host, "untouched"))
				fail_msg("case '%s': %d", cases[i].name, r);
			continue;
		}
		if (r != 0 || !streq(f.host, cases[i].host) ||
			!streq(f.repo, cases[i].repo) || !streq(f.tag, cases[i].tag) ||
			!streq(f.digest, cases[i].digest) ||
			f.is_plain != cases[i].is_plain)
			fail_msg("case '%s': %d %s", cases[i].name, r, e.text);
	}
}

/* ---- manifests ---- */

#define CONFIG "\"config\":{\"digest\":\"" DIGEST "\",\"size\":2}"
#define LAYER "{\"digest\":\"" DIGEST "\",\"size\":7}"

static void test_manifests(void **state)
{
	static const struct {
		const char *name, *text;
		int result;
	} cases[] = {
		{ "good", "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "]}", 0 },
		{ "no layers", "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", 0 },
		{ "long annotation",
			"{\"schemaVersion\":2," CONFIG
			",\"layers\":[],\"annotations\":{\"a\":7}}",
			0 },
		{ "empty", "", -EBADMSG },
		{ "cut", "{\"schemaVersion\":2," CONFIG ",\"lay", -EBADMSG },
		{ "schema 1", "{\"schemaVersion\":1," CONFIG ",\"layers\":[]}",
			-EBADMSG },
		{ "layers missing", "{\"schemaVersion\":2," CONFIG "}", -EBADMSG },
		{ "layers no list", "{\"schemaVersion\":2," CONFIG ",\"layers\":{}}",
			-EBADMSG },
		{ "layer no object", "{\"schemaVersion\":2," CONFIG ",\"layers\":[7]}",
			-EBADMSG },
		{ "negative size",
			"{\"schemaVersion\":2," CONFIG
			",\"layers\":[{\"digest\":\"" DIGEST "\",\"size\":-1}]}",
			-EBADMSG },
		{ "size as text",
			"{\"schemaVersion\":2," CONFIG
			",\"layers\":[{\"digest\":\"" DIGEST "\",\"size\":\"1\"}]}",
			-EBADMSG },
		{ "digest with path",
			"{\"schemaVersion\":2," CONFIG
			",\"layers\":[{\"digest\":\"sha256:../../x\",\"size\":1}]}",
			-EBADMSG },
		{ "config missing", "{\"schemaVersion\":2,\"layers\":[]}", -EBADMSG },
		{ "index", "{\"schemaVersion\":2,\"manifests\":[]}", -EBADMSG },
		{ "no object", "[]", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oci_manifest m = { 0 };
		struct err e = { 0 };
		int r = oci_manifest_parse(cases[i].text, strlen(cases[i].text), &m, &e);

		if (r != cases[i].result || (r < 0 && (!*e.text || m.layers)))
			fail_msg("case '%s': %d %s", cases[i].name, r, e.text);
		oci_manifest_done(&m);
	}
}

static void test_manifest_caps(void **state)
{
	struct oci_manifest m = { 0 };
	struct buf b CLEANUP(buf_done);

	buf_init(&b, 64 << 20);
	(void)buf_str(&b, "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER);
	for (int i = 0; i < OCI_LAYERS_MAX; i++)
		(void)buf_str(&b, "," LAYER);
	assert_int_equal(buf_str(&b, "]}"), 0);
	assert_int_equal(oci_manifest_parse(b.data, b.len, &m, NULL), -E2BIG);
	buf_clear(&b);
	for (int i = 0; i < 100000; i++)
		(void)buf_chr(&b, '[');
	assert_int_equal(oci_manifest_parse(b.data, b.len, &m, NULL), -EBADMSG);
	buf_clear(&b);
	for (int i = 0; i <= OCI_MANIFEST_MAX; i++)
		(void)buf_chr(&b, ' ');
	assert_int_equal(oci_manifest_parse(b.data, b.len, &m, NULL), -E2BIG);
}

static void test_manifest_there_and_back(void **state)
{
	struct oci_blob layer = { DIGEST, 7, "application/x", "modules/edu.ko" };
	struct oci_note note = { "dev.farrier.kernel", "6.1.0-47-amd64" };
	struct oci_manifest m = { .artifact_type = "application/x-test",
		.config = { DIGEST, 2, OCI_TYPE_EMPTY, "" },
		.layers = &layer,
		.layers_n = 1,
		.notes = &note,
		.notes_n = 1 };
	struct oci_manifest back = { 0 };
	struct buf b CLEANUP(buf_done), again CLEANUP(buf_done);

	buf_init(&b, 4096);
	buf_init(&again, 4096);
	assert_int_equal(oci_manifest_print(&m, &b), 0);
	assert_int_equal(oci_manifest_parse(b.data, b.len, &back, NULL), 0);
	assert_string_equal(back.artifact_type, m.artifact_type);
	assert_string_equal(back.layers[0].title, layer.title);
	assert_string_equal(
		oci_manifest_note(&back, "dev.farrier.kernel"), "6.1.0-47-amd64");
	assert_null(oci_manifest_note(&back, "other"));
	assert_int_equal(oci_manifest_print(&back, &again), 0);
	assert_string_equal(buf_cstr(&b), buf_cstr(&again));
	oci_manifest_done(&back);
}

/* ---- logins ---- */

static void test_challenges(void **state)
{
	static const struct {
		const char *name, *text;
		int result;
		const char *realm, *service, *scope;
	} cases[] = {
		{ "bearer",
			"Bearer realm=\"https://a.example/t\",service=\"r\",scope=\"repository:x:pull,push\"",
			0, "https://a.example/t", "r", "repository:x:pull,push" },
		{ "spaces and case", "bearer Realm=\"https://a/t\" , SERVICE=r", 0,
			"https://a/t", "r", "" },
		{ "escapes", "Bearer realm=\"https://a/\\\"\"", 0, "https://a/\"", "",
			"" },
		{ "basic", "Basic realm=\"x\"", 0, "", "", "" },
		{ .name = "empty", .text = "", .result = -EINVAL },
		{ .name = "other", .text = "Negotiate", .result = -EINVAL },
		{ .name = "no realm", .text = "Bearer service=\"x\"", .result = -EINVAL },
		{ .name = "realm is a file",
			.text = "Bearer realm=\"file:///etc/shadow\"",
			.result = -EINVAL },
		{ .name = "open quote",
			.text = "Bearer realm=\"https://a",
			.result = -EINVAL },
		{ .name = "no value", .text = "Bearer realm", .result = -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oci_challenge c = { 0 };
		int r = oci_challenge_parse(cases[i].text, &c);

		if (r != cases[i].result ||
			(r == 0 && (!streq(c.realm, cases[i].realm) ||
					   !streq(c.service, cases[i].service) ||
					   !streq(c.scope, cases[i].scope))))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, c.realm);
	}
}

static void test_credentials(void **state)
{
	static const char file[] =
		"{\"auths\":{\"r.example\":{\"auth\":\"aG9zdA==\"},"
		"\"r.example/team\":{\"username\":\"u\",\"password\":\"p\"},"
		"\"https://old.example/v1/\":{\"auth\":\"b2xk\"},"
		"\"https://index.docker.io/v1/\":{\"auth\":\"aHVi\"},"
		"\"empty.example\":{},\"bad.example\":{\"auth\":\"a b\\r\\nX: y\"}}}";
	static const struct {
		const char *ref, *auth; /* NULL: none */
		int result;
	} cases[] = {
		{ "r.example/a", "aG9zdA==", 0 },
		{ "r.example/team/a", "dTpw", 0 },
		{ "r.example/teammate/a", "aG9zdA==", 0 },
		{ "old.example/a", "b2xk", 0 },
		{ "docker.io/library/a", "aHVi", 0 },
		{ "r.example.evil/a", NULL, -ENOENT },
		{ "r.example:5000/a", NULL, -ENOENT },
		{ "empty.example/a", NULL, -ENOENT },
		{ "bad.example/a", NULL, -EINVAL },
	};
	char *auth = NULL;
	struct oci_ref f;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r;

		assert_int_equal(oci_ref_parse(cases[i].ref, &f, NULL), 0);
		r = oci_auth_find(file, sizeof(file) - 1, &f, &auth, NULL);
		if (r != cases[i].result || (r == 0 && !streq(auth, cases[i].auth)))
			fail_msg("case '%s': %d %s", cases[i].ref, r, r ? "" : auth);
		free(auth);
		auth = NULL;
	}
	assert_int_equal(oci_auth_find("{", 1, &f, &auth, NULL), -EINVAL);
	assert_int_equal(oci_auth_find("[]", 2, &f, &auth, NULL), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refs),
		cmocka_unit_test(test_manifests),
		cmocka_unit_test(test_manifest_caps),
		cmocka_unit_test(test_manifest_there_and_back),
		cmocka_unit_test(test_challenges),
		cmocka_unit_test(test_credentials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
