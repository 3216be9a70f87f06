// SPDX-License-Identifier: Apache-2.0
/* References and manifests: text in, checked structures out. No I/O. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

#include "json.h"
#include "oci.h"

#define DIGEST_PREFIX "sha256:"

bool oci_digest_is_valid(const char *s)
{
	const char *hex = s + strlen(DIGEST_PREFIX);

	return str_starts(s, DIGEST_PREFIX) && strlen(hex) == DIGEST_HEX &&
	       strspn(hex, "0123456789abcdef") == DIGEST_HEX;
}

/* ---- references ---- */

static int take(char *out, size_t size, const char *from, size_t n)
{
	if (n == 0 || n >= size)
		return -EINVAL;
	memcpy(out, from, n);
	out[n] = '\0';
	return 0;
}

static bool is_host(const char *s)
{
	const char *port = strrchr(s, ':');
	size_t n;

	if (*s == '[') { /* IPv6 */
		n = 1 + strspn(s + 1, "0123456789abcdefABCDEF:.");
		if (s[n++] != ']')
			return false;
	} else {
		n = strspn(s,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
		if (n == 0 || *s == '-' || *s == '.')
			return false;
	}
	if (!s[n])
		return true;
	return s + n == port && strlen(port) >= 2 && strlen(port) <= 6 &&
	       strspn(port + 1, "0123456789") == strlen(port + 1);
}

/* Lower-case words with single separators between, parts separated by '/'. */
static bool is_repo(const char *s)
{
	bool is_word = false;

	for (; *s; s++) {
		if ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9')) {
			is_word = true;
			continue;
		}
		if (!is_word || !strchr("._-/", *s))
			return false;
		/* "__" and any number of '-' are allowed within a word. */
		is_word = *s == '-' || (*s == '_' && s[1] == '_');
	}
	return is_word && s[-1] != '-' && s[-1] != '_';
}

static bool is_tag(const char *s)
{
	if (!isalnum((unsigned char)*s) && *s != '_')
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
			return false;
	return true;
}

static bool is_loopback(const char *host)
{
	size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	struct in_addr a;
	char name[64];

	if (take(name, sizeof(name), host, n) < 0)
		return false;
	return streq(name, "localhost") || streq(name, "[::1]") ||
	       (inet_pton(AF_INET, name, &a) == 1 &&
		       ntohl(a.s_addr) >> 24 == IN_LOOPBACKNET);
}

static int bad_ref(struct err *e, const char *text, const char *why)
{
	return err_set(e, -EINVAL, "reference '%.300s': %s", text, why);
}

int oci_ref_parse(const char *text, struct oci_ref *ret, struct err *e)
{
	bool is_http = str_starts(text, "http://"),
	     is_https = str_starts(text, "https://");
	const char *p = text + (is_http ? 7 : is_https ? 8 : 0), *slash = strchr(p, '/');
	struct oci_ref f = { 0 };
	const char *at, *colon;
	size_t n;

	n = slash ? (size_t)(slash - p) : 0;
	if (!slash || take(f.host, sizeof(f.host), p, n) < 0 || !is_host(f.host) ||
		(!strpbrk(f.host, ".:") && !streq(f.host, "localhost")))
		return bad_ref(e, text, "it must name its registry, 'host[:port]/name'");
	p = slash + 1;
	at = strchr(p, '@');
	if (at && (take(f.digest, sizeof(f.digest), at + 1, strlen(at + 1)) < 0 ||
			  !oci_digest_is_valid(f.digest)))
		return bad_ref(e, text, "what follows '@' is no sha256 digest");
	n = at ? (size_t)(at - p) : strlen(p);
	colon = memchr(p, ':', n);
	if (colon &&
		(take(f.tag, sizeof(f.tag), colon + 1, n - (size_t)(colon + 1 - p)) < 0 ||
			!is_tag(f.tag)))
		return bad_ref(e, text, "bad tag");
	n = colon ? (size_t)(colon - p) : n;
	if (take(f.repo, sizeof(f.repo), p, n) < 0 || !is_repo(f.repo))
		return bad_ref(e, text, "bad repository name");
	/* What people call docker.io answers under another name. */
	if (streq(f.host, "docker.io"))
		(void)snprintf(f.host, sizeof(f.host), "registry-1.docker.io");
	f.is_plain = is_http || (!is_https && is_loopback(f.host));
	*ret = f;
	return 0;
}

/* ---- manifests ---- */

void oci_manifest_done(struct oci_manifest *m)
{
	free(m->layers);
	free(m->notes);
	free(m->text);
	*m = (struct oci_manifest){ 0 };
}

const char *oci_manifest_note(const struct oci_manifest *m, const char *key)
{
	for (size_t i = 0; i < m->notes_n; i++)
		if (streq(m->notes[i].key, key))
			return m->notes[i].value;
	return NULL;
}

static int bad(struct err *e, const char *what)
{
	return err_set(e, -EBADMSG, "manifest: '%s' is missing or wrong", what);
}

/* Optional text; what is too long is refused, never cut. */
static int get_text(const struct json *j, const char *key, char *out, size_t size)
{
	const char *s = json_get_str(j, key);

	if (!s)
		return json_get(j, key) ? -EBADMSG : 0;
	return (size_t)snprintf(out, size, "%s", s) < size ? 0 : -EBADMSG;
}

static int parse_blob(const struct json *j, struct oci_blob *ret)
{
	const char *digest = json_get_str(j, "digest");
	struct oci_blob b = { 0 };
	int r = get_text(j, "mediaType", b.type, sizeof(b.type));

	b.size = json_get_int(j, "size", -1);
	if (r < 0 || !digest || !oci_digest_is_valid(digest) || b.size < 0)
		return -EBADMSG;
	memcpy(b.digest, digest, strlen(digest) + 1);
	r = get_text(
		json_get(j, "annotations"), OCI_NOTE_TITLE, b.title, sizeof(b.title));
	if (r < 0)
		return r;
	*ret = b;
	return 0;
}

static int parse_layers(const struct json *j, struct oci_manifest *m, struct err *e)
{
	const struct json *layers = json_get(j, "layers");
	size_t n = json_len(layers);

	if (json_type(layers) != JSON_ARRAY)
		return bad(e, "layers");
	if (n > OCI_LAYERS_MAX)
		return err_set(
			e, -E2BIG, "manifest: more than %d layers", OCI_LAYERS_MAX);
	m->layers = calloc(n + 1, sizeof(*m->layers));
	if (!m->layers)
		return err_errno(e, -ENOMEM, "manifest");
	for (size_t i = 0; i < n; i++)
		if (parse_blob(json_at(layers, i), &m->layers[i]) < 0)
			return bad(e, "layers");
	m->layers_n = n;
	return 0;
}

/* Those that fit: annotations are words to people, what is too long for us is left out. */
static int parse_notes(const struct json *j, struct oci_manifest *m, struct err *e)
{
	const struct json *notes = json_get(j, "annotations"), *v;
	size_t it = 0;
	const char *key;

	m->notes = calloc(OCI_NOTES_MAX, sizeof(*m->notes));
	if (!m->notes)
		return err_errno(e, -ENOMEM, "manifest");
	while (m->notes_n < OCI_NOTES_MAX && json_next(notes, &it, &key, &v)) {
		struct oci_note *x = &m->notes[m->notes_n];
		const char *s = json_str(v);

		if (!s || strlen(key) >= sizeof(x->key) || strlen(s) >= sizeof(x->value))
			continue;
		memcpy(x->key, key, strlen(key) + 1);
		memcpy(x->value, s, strlen(s) + 1);
		m->notes_n++;
	}
	return 0;
}

int oci_manifest_parse(
	const char *text, size_t len, struct oci_manifest *ret, struct err *e)
{
	CLEANUP(json_freep) struct json *j = NULL;
	struct oci_manifest m = { 0 };
	int r;

	if (len > OCI_MANIFEST_MAX)
		return err_set(e, -E2BIG, "the manifest is too large");
	r = json_parse(text, len, &j, e);
	if (r < 0)
		return r == -ENOMEM ? r : err_wrap(e, -EBADMSG, "manifest");
	if (json_get_int(j, "schemaVersion", 0) != 2)
		return bad(e, "schemaVersion");
	if (json_get(j, "manifests"))
		return err_set(
			e, -EBADMSG, "the manifest is an index, not that of an image");
	r = get_text(j, "artifactType", m.artifact_type, sizeof(m.artifact_type));
	if (r < 0)
		return bad(e, "artifactType");
	if (parse_blob(json_get(j, "config"), &m.config) < 0)
		return bad(e, "config");
	r = parse_layers(j, &m, e);
	if (r == 0)
		r = parse_notes(j, &m, e);
	if (r < 0) {
		oci_manifest_done(&m);
		return r;
	}
	*ret = m;
	return 0;
}

static struct json *blob_json(const struct oci_blob *b)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	CLEANUP(json_freep) struct json *notes = json_new_object();
	int r = j && notes ? 0 : -ENOMEM;

	if (r == 0)
		r = json_set_str(j, "mediaType", b->type);
	if (r == 0)
		r = json_set_str(j, "digest", b->digest);
	if (r == 0)
		r = json_set_int(j, "size", b->size);
	if (r == 0 && *b->title) {
		r = json_set_str(notes, OCI_NOTE_TITLE, b->title);
		if (r == 0)
			r = json_set(j, "annotations", TAKE(notes));
	}
	return r == 0 ? TAKE(j) : NULL;
}

int oci_manifest_print(const struct oci_manifest *m, struct buf *out)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	CLEANUP(json_freep) struct json *layers = json_new_array();
	CLEANUP(json_freep) struct json *notes = json_new_object();
	int r = j && layers && notes ? 0 : -ENOMEM;

	if (r == 0)
		r = json_set_int(j, "schemaVersion", 2);
	if (r == 0)
		r = json_set_str(j, "mediaType", OCI_TYPE_MANIFEST);
	if (r == 0 && *m->artifact_type)
		r = json_set_str(j, "artifactType", m->artifact_type);
	if (r == 0)
		r = json_set(j, "config", blob_json(&m->config));
	for (size_t i = 0; r == 0 && i < m->layers_n; i++)
		r = json_add(layers, blob_json(&m->layers[i]));
	if (r == 0)
		r = json_set(j, "layers", TAKE(layers));
	for (size_t i = 0; r == 0 && i < m->notes_n; i++)
		r = json_set_str(notes, m->notes[i].key, m->notes[i].value);
	if (r == 0 && m->notes_n > 0)
		r = json_set(j, "annotations", TAKE(notes));
	return r < 0 ? r : json_print(j, false, out);
}
