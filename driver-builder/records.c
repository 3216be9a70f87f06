// SPDX-License-Identifier: Apache-2.0
/* Two small JSON files, read whole and written atomically. */
#include "records.h"

#include <limits.h>
#include <stdio.h>

#include "file.h"
#include "json.h"
#include "map.h"

#define BUILDS_FILE "builds.json"
#define LOADED_FILE "loaded.json"

struct records {
	struct map *records; /* "driver kernel" -> struct record */
	struct map *notes; /* driver -> struct note */
};

int records_new(struct records **ret)
{
	struct records *r = calloc(1, sizeof(*r));

	if (r) {
		r->records = map_new(free);
		r->notes = map_new(free);
	}
	if (!r || !r->records || !r->notes) {
		records_free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

void records_free(struct records *r)
{
	if (!r)
		return;
	map_free(r->records);
	map_free(r->notes);
	free(r);
}

static bool copy(char *out, size_t size, const struct json *j, const char *key)
{
	const char *s = json_get_str(j, key);

	return snprintf(out, size, "%s", s ? s : "") < (int)size;
}
#define COPY(field, j, key) copy(field, sizeof(field), j, key)

static uint64_t get_us(const struct json *j, const char *key)
{
	int64_t v = json_get_int(j, key, 0);

	return v > 0 ? (uint64_t)v : 0;
}

static int parse_record(struct records *r, const struct json *j)
{
	struct record rec = {
		.build_seconds = json_get_int(j, "buildSeconds", 0),
		.reason = reason_from_name(
			json_get_str(j, "reason") ? json_get_str(j, "reason") : ""),
		.at_us = get_us(j, "atUs"),
		.retry_us = get_us(j, "retryUs"),
		.attempts = json_get_int(j, "attempts", 0),
	};

	if (!COPY(rec.driver, j, "driver") || !COPY(rec.kernel, j, "kernel") ||
		!COPY(rec.print.spec, j, "spec") ||
		!COPY(rec.print.source, j, "source") ||
		!COPY(rec.print.headers, j, "headers") || !COPY(rec.key, j, "key") ||
		!COPY(rec.signed_key, j, "signedKey") ||
		!COPY(rec.message, j, "message") || !*rec.driver || !*rec.kernel)
		return -EBADMSG;
	return records_set(r, &rec);
}

static int parse_note(struct records *r, const struct json *j)
{
	struct note n;

	memset(&n, 0, sizeof(n));
	if (!COPY(n.driver, j, "driver") || !COPY(n.key, j, "key") ||
		!COPY(n.version, j, "version") || !COPY(n.kernel, j, "kernel") ||
		!COPY(n.boot_id, j, "bootID") || !COPY(n.rejected, j, "rejected") ||
		!*n.driver)
		return -EBADMSG;
	if (!json_get_str(j, "parameters") || !COPY(n.parameters, j, "parameters"))
		memcpy(n.parameters, NOTE_UNKNOWN, sizeof(NOTE_UNKNOWN));
	return records_set_note(r, &n);
}

static int read_one(struct records *r, const char *state, const char *file,
	const char *list, int (*parse)(struct records *, const struct json *),
	struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	CLEANUP(json_freep) struct json *j = NULL;
	const struct json *items;
	char path[PATH_MAX];
	size_t len;
	int n;

	n = path_join(path, sizeof(path), state, file, NULL);
	if (n == 0)
		n = file_read(path, RECORDS_BYTES_MAX, &text, &len, e);
	if (n == -ENOENT) {
		err_clear(e);
		return 0;
	}
	if (n == 0)
		n = json_parse(text, len, &j, e);
	if (n < 0)
		return err_wrap(e, n == -ENOMEM ? n : -EBADMSG, "'%s'", path);
	if (json_get_int(j, "version", 0) != 1)
		return err_set(e, -EBADMSG, "'%s': version is not 1", path);
	items = json_get(j, list);
	for (size_t i = 0; i < MIN(json_len(items), (size_t)RECORDS_MAX); i++)
		if (parse(r, json_at(items, i)) < 0)
			return err_set(e, -EBADMSG, "'%s': '%s[%zu]' cannot be read",
				path, list, i);
	return 0;
}

int records_read_notes(struct records *r, const char *state, struct err *e)
{
	return read_one(r, state, LOADED_FILE, "loaded", parse_note, e);
}

int records_read(struct records *r, const char *state, struct err *e)
{
	int n = read_one(r, state, BUILDS_FILE, "builds", parse_record, e);
	int m = records_read_notes(r, state, n < 0 ? NULL : e);

	return n < 0 ? n : m;
}

static struct json *print_record(const struct record *rec)
{
	CLEANUP(json_freep) struct json *j = json_new_object();

	if (!j || json_set_str(j, "driver", rec->driver) < 0 ||
		json_set_str(j, "kernel", rec->kernel) < 0 ||
		json_set_str(j, "spec", rec->print.spec) < 0 ||
		json_set_str(j, "source", rec->print.source) < 0 ||
		json_set_str(j, "headers", rec->print.headers) < 0 ||
		json_set_str(j, "key", rec->key) < 0 ||
		json_set_str(j, "signedKey", *rec->signed_key ? rec->signed_key : NULL) <
			0 ||
		json_set_int(j, "buildSeconds", rec->build_seconds) < 0 ||
		json_set_str(j, "reason", reason_name(rec->reason)) < 0 ||
		json_set_str(j, "message", rec->message) < 0 ||
		json_set_int(j, "atUs", (int64_t)rec->at_us) < 0 ||
		json_set_int(j, "retryUs", (int64_t)rec->retry_us) < 0 ||
		json_set_int(j, "attempts", rec->attempts) < 0)
		return NULL;
	return TAKE(j);
}

static struct json *print_note(const struct note *n)
{
	CLEANUP(json_freep) struct json *j = json_new_object();

	if (!j || json_set_str(j, "driver", n->driver) < 0 ||
		json_set_str(j, "key", n->key) < 0 ||
		json_set_str(j, "version", n->version) < 0 ||
		json_set_str(j, "kernel", n->kernel) < 0 ||
		json_set_str(j, "bootID", n->boot_id) < 0 ||
		json_set_str(j, "parameters", n->parameters) < 0 ||
		json_set_str(j, "rejected", *n->rejected ? n->rejected : NULL) < 0)
		return NULL;
	return TAKE(j);
}

/* Takes over @items. */
static int write_one(const char *state, const char *file, const char *list,
	struct json *items, struct err *e)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct buf b CLEANUP(buf_done);
	char path[PATH_MAX];
	int r;

	buf_init(&b, RECORDS_BYTES_MAX);
	r = j ? json_set_int(j, "version", 1) : -ENOMEM;
	if (r < 0)
		json_free(items);
	else
		r = json_set(j, list, items);
	if (r == 0)
		r = json_print(j, true, &b);
	if (r == 0)
		r = path_join(path, sizeof(path), state, file, NULL);
	if (r < 0)
		return err_errno(e, r, "'%s'", file);
	r = file_write_if_changed(path, b.data, b.len, 0644, e);
	return MIN(r, 0);
}

int records_write_notes(const struct records *r, const char *state, struct err *e)
{
	struct json *list = json_new_array();
	int n = list ? 0 : -ENOMEM;
	const char *name;
	size_t it = 0;
	void *value;

	while (n == 0 && map_next(r->notes, &it, &name, &value))
		n = json_add(list, print_note(value));
	if (n < 0) {
		json_free(list);
		return err_errno(e, n, "notes");
	}
	return write_one(state, LOADED_FILE, "loaded", list, e);
}

int records_write(const struct records *r, const char *state, struct err *e)
{
	struct json *list = json_new_array();
	int n = list ? 0 : -ENOMEM;
	const char *name;
	size_t it = 0;
	void *value;

	while (n == 0 && map_next(r->records, &it, &name, &value))
		n = json_add(list, print_record(value));
	if (n < 0) {
		json_free(list);
		return err_errno(e, n, "records");
	}
	n = write_one(state, BUILDS_FILE, "builds", list, e);
	return n < 0 ? n : records_write_notes(r, state, e);
}

static void pair_name(char out[400], const char *driver, const char *kernel)
{
	(void)snprintf(out, 400, "%s %s", driver, kernel);
}

const struct record *records_get(
	const struct records *r, const char *driver, const char *kernel)
{
	char name[400];

	pair_name(name, driver, kernel);
	return map_get(r->records, name);
}

bool records_is_empty(const struct records *r)
{
	return map_len(r->records) == 0;
}

int records_set(struct records *r, const struct record *rec)
{
	struct record *own = malloc(sizeof(*own));
	char name[400];

	if (!own)
		return -ENOMEM;
	*own = *rec;
	pair_name(name, rec->driver, rec->kernel);
	return map_set(r->records, name, own);
}

void records_set_signed(struct records *r, const char *driver, const char *kernel,
	const char *key, const char *signed_key)
{
	char name[400];
	struct record *rec;

	pair_name(name, driver, kernel);
	rec = map_get(r->records, name);
	if (rec && streq(rec->key, key))
		(void)snprintf(
			rec->signed_key, sizeof(rec->signed_key), "%s", signed_key);
}

static bool agrees(const char *then, const char *now)
{
	return !*now || streq(then, now);
}

bool records_is_current(const struct record *rec, const struct print *now)
{
	return agrees(rec->print.spec, now->spec) &&
	       agrees(rec->print.source, now->source) &&
	       agrees(rec->print.headers, now->headers);
}

void records_prune(struct records *r,
	bool (*is_wanted)(const struct record *rec, void *user), void *user)
{
	const char *name;
	size_t it = 0;
	void *value;

	while (map_next(r->records, &it, &name, &value))
		if (!is_wanted(value, user))
			(void)map_del(r->records, name);
}

const struct note *records_note(const struct records *r, const char *driver)
{
	return map_get(r->notes, driver);
}

void records_reject(struct records *r, const char *driver, const char *key)
{
	struct note *n = map_get(r->notes, driver);

	if (n && !streq(n->key, key))
		(void)snprintf(n->rejected, sizeof(n->rejected), "%s", key);
}

int records_set_note(struct records *r, const struct note *n)
{
	struct note *own = malloc(sizeof(*own));

	if (!own)
		return -ENOMEM;
	*own = *n;
	return map_set(r->notes, n->driver, own);
}

int records_keys(const struct records *r, struct arena *a, struct list *ret)
{
	const char **keys = arena_array(
		a, 2 * map_len(r->records) + map_len(r->notes) + 1, sizeof(*keys));
	const char *name;
	size_t it = 0, n = 0;
	void *value;

	if (!keys)
		return -ENOMEM;
	while (map_next(r->records, &it, &name, &value)) {
		const struct record *rec = value;

		if (*rec->key)
			keys[n++] = rec->key;
		if (*rec->signed_key)
			keys[n++] = rec->signed_key;
	}
	it = 0;
	while (map_next(r->notes, &it, &name, &value))
		if (*((struct note *)value)->key)
			keys[n++] = ((struct note *)value)->key;
	*ret = (struct list){ keys, n };
	return 0;
}
