// SPDX-License-Identifier: Apache-2.0
/* Pushes artifacts of the store to the registry. */
#include "publish.h"

#include <limits.h>
#include <stdio.h>

#include "file.h"
#include "key.h"
#include "store.h"
#include "unsigned.h"

enum { NOTE_MAX = 512 };

bool publish_is_shareable(const struct api_source *s)
{
	return s->type != API_SOURCE_HOST || !str_empty(s->host.sha256);
}

/* ---- what was pushed ---- */

static int note_path(char *out, size_t size, const char *state, const char *key)
{
	return key_is_valid(key) ? path_join(out, size, state, "published", key, NULL)
				 : -EINVAL;
}

bool publish_find(const char *state, const char *key, struct published *ret)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX], *second = NULL, *end;

	if (note_path(path, sizeof(path), state, key) < 0 ||
		file_read(path, NOTE_MAX, &text, NULL, NULL) < 0)
		return false;
	end = strchr(text, '\n');
	if (end) {
		*end = '\0';
		second = end + 1;
		second[strcspn(second, "\n")] = '\0';
	}
	if (!oci_digest_is_valid(text))
		return false;
	*ret = (struct published){ 0 };
	memcpy(ret->digest, text, strlen(text) + 1);
	if (second && (key_is_valid(second) || streq(second, UNSIGNED_NONE)))
		memcpy(ret->unsigned_digest, second, strlen(second) + 1);
	return true;
}

static int remember(
	const char *state, const char *key, const struct published *p, struct err *e)
{
	char path[PATH_MAX], text[sizeof(*p) + 2];
	int r = path_join(path, sizeof(path), state, "published", NULL);

	if (r == 0)
		r = dir_make(path, 0755, e);
	if (r == 0)
		r = note_path(path, sizeof(path), state, key);
	(void)snprintf(text, sizeof(text), "%s\n%s\n", p->digest, p->unsigned_digest);
	return r < 0 ? err_errno(e, r, "remember what was pushed")
		     : file_write_atomic(path, text, strlen(text), 0644, e);
}

static int gc_one(const char *name, void *user)
{
	const char *state = user;
	char path[PATH_MAX];

	if (!store_has(state, name) &&
		path_join(path, sizeof(path), state, "published", name, NULL) == 0)
		(void)unlink(path);
	return 0;
}

void publish_gc(const char *state)
{
	char path[PATH_MAX];

	if (path_join(path, sizeof(path), state, "published", NULL) == 0 &&
		file_exists(path))
		(void)dir_each(path, gc_one, (void *)(uintptr_t)state, NULL);
}

/* ---- pushing ---- */

static int push_file(struct oci *c, const struct oci_ref *ref, const struct artifact *a,
	const char *file, struct oci_blob *ret, struct err *e)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), a->dir, file, NULL);

	if (r < 0)
		return err_errno(e, r, "push");
	(void)snprintf(ret->type, sizeof(ret->type), REMOTE_FILE_TYPE);
	(void)snprintf(ret->title, sizeof(ret->title), "%s", file);
	return oci_put_file(c, ref, path, ret, e);
}

static int push_layers(struct oci *c, const struct oci_ref *ref, const struct artifact *a,
	struct oci_manifest *m, struct err *e)
{
	char log[PATH_MAX];
	int r = push_file(c, ref, a, "manifest.json", &m->layers[m->layers_n++], e);

	for (size_t i = 0; r == 0 && i < a->modules_n; i++) {
		struct oci_blob *b = &m->layers[m->layers_n++];

		r = push_file(c, ref, a, a->modules[i].file, b, e);
		/* It was checked a moment ago, by its path. */
		if (r == 0 && !streq(b->digest + strlen("sha256:"), a->modules[i].sha256))
			r = err_reason(e, -EBADMSG, REASON_ARTIFACT_CORRUPT,
				"'%s' changed while it was pushed", a->modules[i].file);
	}
	if (r == 0)
		r = path_join(log, sizeof(log), a->dir, "build.log.gz", NULL);
	if (r == 0 && file_exists(log))
		r = push_file(c, ref, a, "build.log.gz", &m->layers[m->layers_n++], e);
	return r;
}

static void note(struct oci_manifest *m, const char *key, const char *value)
{
	struct oci_note *n = &m->notes[m->notes_n];

	if (!*value || strlen(value) >= sizeof(n->value))
		return;
	(void)snprintf(n->key, sizeof(n->key), "%s", key);
	memcpy(n->value, value, strlen(value) + 1);
	m->notes_n++;
}

static int push(struct oci *c, const struct oci_ref *ref, const struct artifact *a,
	struct oci_manifest *m, struct err *e)
{
	int r;

	m->layers = calloc(a->modules_n + 2, sizeof(*m->layers));
	m->notes = calloc(5, sizeof(*m->notes));
	if (!m->layers || !m->notes)
		return err_errno(e, -ENOMEM, "push");
	(void)snprintf(m->artifact_type, sizeof(m->artifact_type), REMOTE_ARTIFACT_TYPE);
	(void)snprintf(m->config.type, sizeof(m->config.type), OCI_TYPE_EMPTY);
	note(m, REMOTE_NOTE_KEY, a->key);
	note(m, REMOTE_NOTE_KERNEL, a->kernel);
	note(m, REMOTE_NOTE_DRIVER, a->driver);
	note(m, REMOTE_NOTE_VERSION, a->driver_version);
	note(m, REMOTE_NOTE_CREATED, a->created_at);
	r = oci_put_bytes(c, ref, "{}", 2, &m->config, e);
	if (r == 0)
		r = push_layers(c, ref, a, m, e);
	return r == 0 ? oci_put_manifest(c, ref, m, e) : r;
}

int publish(struct loop *l, const struct remote *r, const char *state, const char *key,
	struct published *ret, struct err *e)
{
	const struct oci_options o = { .auth_file = r->auth_file, .ca_file = r->ca_file };
	CLEANUP(oci_freep) struct oci *c = NULL;
	struct oci_manifest m = { 0 };
	struct artifact a = { 0 };
	struct published p = { .unsigned_digest = UNSIGNED_NONE };
	struct oci_ref ref;
	int result = store_get(state, key, &a, e);

	if (result == 0)
		result = remote_ref(r, a.driver, &ref, e);
	if (result == 0) {
		(void)snprintf(
			ref.tag, sizeof(ref.tag), "%.*s", REMOTE_TAG_DIGITS, a.key);
		result = oci_new(l, &o, &c, e);
	}
	if (result == 0)
		result = push(c, &ref, &a, &m, e);
	if (result == 0 && a.is_compiled)
		result = unsigned_digest(&a, a.dir, p.unsigned_digest, e);
	if (result == 0) {
		memcpy(p.digest, m.digest, sizeof(p.digest));
		result = remember(state, key, &p, e);
	}
	if (result == 0)
		*ret = p;
	oci_manifest_done(&m);
	artifact_done(&a);
	return result < 0 ? err_wrap(e, result, "push artifact %.12s", key) : 0;
}
