// SPDX-License-Identifier: Apache-2.0
/* An artifact's manifest.json: printed, and read as something that may be damaged. */
#include "store_manifest.h"

#include <stdio.h>

#include "json.h"
#include "key.h"

enum { MANIFEST_VERSION = 1 };

/* ---- printing ---- */

static struct json *module_json(const struct artifact_module *m)
{
	struct json *j = json_new_object();

	if (!j || json_set_str(j, "name", m->name) < 0 ||
		json_set_str(j, "file", m->file) < 0 ||
		json_set_str(j, "sha256", m->sha256) < 0 ||
		json_set_int(j, "size", m->size) < 0 ||
		json_set_str(j, "vermagic", m->vermagic) < 0 ||
		json_set_str(j, "srcversion", m->srcversion) < 0 ||
		json_set_int(j, "symbols", m->symbols) < 0) {
		json_free(j);
		return NULL;
	}
	return j;
}

/* Absent stays absent. */
static int set_digest(struct json *j, const char *key, const char *digest)
{
	return json_set_str(j, key, *digest ? digest : NULL);
}

static int set_depends(struct json *j, const struct artifact *a)
{
	struct json *list = json_new_array();
	int r = list ? 0 : -ENOMEM;

	if (a->depends_n == 0) {
		json_free(list);
		return 0;
	}
	for (size_t i = 0; r == 0 && i < a->depends_n; i++)
		r = json_add(list, json_new_str(a->depends[i]));
	if (r < 0) {
		json_free(list);
		return r;
	}
	return json_set(j, "depends", list);
}

static struct json *artifact_json(const struct artifact *a)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct json *mods = json_new_array();
	size_t i;
	int r = j && mods ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < a->modules_n; i++)
		r = json_add(mods, module_json(&a->modules[i]));
	if (r < 0 || json_set_int(j, "version", MANIFEST_VERSION) < 0 ||
		json_set_str(j, "key", a->key) < 0 ||
		json_set_str(j, "driver", a->driver) < 0 ||
		json_set_str(j, "driverVersion", a->driver_version) < 0 ||
		json_set_str(j, "kernel", a->kernel) < 0 ||
		json_set_str(j, "buildSystem", a->build_system) < 0 ||
		json_set_str(j, "toolchain", a->toolchain) < 0 ||
		json_set_str(j, "sourceDigest", a->source_digest) < 0 ||
		json_set_str(j, "headersDigest", a->headers_digest) < 0 ||
		json_set_str(j, "createdAt", a->created_at) < 0 ||
		json_set_int(j, "buildSeconds", a->build_seconds) < 0 ||
		set_digest(j, "recipe", a->recipe) < 0 ||
		set_digest(j, "configDigest", a->config_digest) < 0 ||
		set_digest(j, "reusedFrom", a->reused_from) < 0 ||
		set_digest(j, "signedFrom", a->signed_from) < 0 ||
		set_digest(j, "package", a->package) < 0 ||
		(a->is_compiled && json_set_bool(j, "compiled", true) < 0) ||
		set_depends(j, a) < 0) {
		json_free(mods);
		return NULL;
	}
	return json_set(j, "modules", mods) < 0 ? NULL : TAKE(j);
}

int manifest_print(const struct artifact *a, char **ret, struct err *e)
{
	CLEANUP(json_freep) struct json *j = artifact_json(a);
	struct buf b;
	char *text;
	int r;

	buf_init(&b, STORE_MANIFEST_MAX);
	r = j ? json_print(j, true, &b) : -ENOMEM;
	if (r == 0)
		r = buf_chr(&b, '\n');
	text = r == 0 ? buf_steal(&b) : NULL;
	buf_done(&b);
	if (!text)
		return err_errno(e, r < 0 ? r : -ENOMEM, "manifest");
	*ret = text;
	return 0;
}

/* ---- reading ---- */

static int bad(struct err *e, const char *what)
{
	return err_set(e, -EBADMSG, "manifest: '%s' is missing or wrong", what);
}

static int get_str(
	const struct json *j, const char *key, char *out, size_t size, struct err *e)
{
	const char *s = json_get_str(j, key);

	if (!s || strlen(s) >= size)
		return bad(e, key);
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

/* A digest, or nothing. */
static int get_digest(
	const struct json *j, const char *key, char out[DIGEST_HEX + 1], struct err *e)
{
	const char *s = json_get_str(j, key);

	if (!json_has(j, key))
		return 0;
	if (!s || !key_is_valid(s))
		return bad(e, key);
	memcpy(out, s, DIGEST_HEX + 1);
	return 0;
}

static int get_int(const struct json *j, const char *key, int64_t *ret, struct err *e)
{
	if (json_int(json_get(j, key), ret) < 0 || *ret < 0)
		return bad(e, key);
	return 0;
}

/* "modules/<name>.ko", one level down and nowhere else. */
static bool is_module_path(const char *s)
{
	return str_starts(s, "modules/") && s[8] != '\0' && s[8] != '.' &&
	       !strchr(s + 8, '/');
}

#define STR(field, name) get_str(j, name, m->field, sizeof(m->field), e)

static int parse_module(const struct json *j, struct artifact_module *m, struct err *e)
{
	int r = STR(name, "name");

	if (r == 0)
		r = STR(file, "file");
	if (r == 0)
		r = STR(sha256, "sha256");
	if (r == 0)
		r = STR(vermagic, "vermagic");
	if (r == 0)
		r = STR(srcversion, "srcversion");
	if (r == 0)
		r = get_int(j, "size", &m->size, e);
	if (r == 0)
		r = get_int(j, "symbols", &m->symbols, e);
	if (r == 0 && (!is_module_path(m->file) || !key_is_valid(m->sha256)))
		r = bad(e, "file");
	return r;
}

static int parse_depends(const struct json *j, struct artifact *m, struct err *e)
{
	const struct json *list = json_get(j, "depends");
	size_t n = json_len(list);

	if (!json_has(j, "depends"))
		return 0;
	if (json_type(list) != JSON_ARRAY || n > STORE_DEPENDS_MAX)
		return bad(e, "depends");
	for (; m->depends_n < n; m->depends_n++) {
		const char *s = json_str(json_at(list, m->depends_n));

		if (!s || !key_is_valid(s))
			return bad(e, "depends");
		memcpy(m->depends[m->depends_n], s, DIGEST_HEX + 1);
	}
	return 0;
}

static int parse_head(const struct json *j, struct artifact *m, struct err *e)
{
	int r = STR(key, "key");

	if (r == 0)
		r = STR(driver, "driver");
	if (r == 0)
		r = STR(driver_version, "driverVersion");
	if (r == 0)
		r = STR(kernel, "kernel");
	if (r == 0)
		r = STR(build_system, "buildSystem");
	if (r == 0)
		r = STR(toolchain, "toolchain");
	if (r == 0)
		r = STR(source_digest, "sourceDigest");
	if (r == 0)
		r = STR(headers_digest, "headersDigest");
	if (r == 0)
		r = STR(created_at, "createdAt");
	if (r == 0)
		r = get_digest(j, "recipe", m->recipe, e);
	if (r == 0)
		r = get_digest(j, "configDigest", m->config_digest, e);
	if (r == 0)
		r = get_digest(j, "reusedFrom", m->reused_from, e);
	if (r == 0)
		r = get_digest(j, "signedFrom", m->signed_from, e);
	if (r == 0 && json_has(j, "package"))
		r = STR(package, "package");
	m->is_compiled = json_get_bool(j, "compiled", false);
	if (r == 0)
		r = parse_depends(j, m, e);
	return r == 0 ? get_int(j, "buildSeconds", &m->build_seconds, e) : r;
}

int manifest_parse(const char *text, size_t len, struct artifact *ret, struct err *e)
{
	CLEANUP(json_freep) struct json *j = NULL;
	struct artifact a = { 0 };
	const struct json *mods;
	size_t i, n;
	int r = json_parse(text, len, &j, e);

	if (r < 0)
		return r == -ENOMEM ? r : err_wrap(e, -EBADMSG, "manifest");
	if (json_get_int(j, "version", 0) != MANIFEST_VERSION)
		return bad(e, "version");
	mods = json_get(j, "modules");
	n = json_len(mods);
	if (json_type(mods) != JSON_ARRAY || n > STORE_MODULES_MAX)
		return bad(e, "modules");
	a.modules = calloc(n + 1, sizeof(*a.modules));
	if (!a.modules)
		return err_errno(e, -ENOMEM, "manifest");
	a.modules_n = n;
	r = parse_head(j, &a, e);
	for (i = 0; r == 0 && i < n; i++)
		r = parse_module(json_at(mods, i), &a.modules[i], e);
	if (r < 0) {
		artifact_done(&a);
		return r;
	}
	*ret = a;
	return 0;
}
