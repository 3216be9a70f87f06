// SPDX-License-Identifier: Apache-2.0
/* Keeps and gives back GRUB's default through the host's own grub-editenv. */
#include "grub.h"

#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>

#include "child.h"
#include "file.h"
#include "json.h"

enum { EDIT_SECONDS = 60, NOTE_MAX = 16 << 10 };

struct host {
	const char *root;
	char config[PATH_MAX]; /* grub.cfg as we see it */
	char env[PATH_MAX]; /* grubenv as the host sees it */
	char tool[PATH_MAX]; /* grub-editenv as the host sees it */
	char *text; /* of grub.cfg */
	const char *variable;
};

struct note {
	char kernel[128], variable[32], entry[GRUB_ENTRY_MAX], before[GRUB_ENTRY_MAX];
};

static void host_done(struct host *h)
{
	free(TAKE(h->text));
}

static bool find_below(
	const char *root, const char *const *places, size_t n, char out[PATH_MAX])
{
	char path[PATH_MAX];

	for (size_t i = 0; i < n; i++)
		if (path_join(path, sizeof(path), root, places[i], NULL) == 0 &&
			file_exists(path))
			return snprintf(out, PATH_MAX, "/%s", places[i]) < PATH_MAX;
	return false;
}

static int host_init(struct host *h, const char *root, struct err *e)
{
	static const char *const configs[] = { "boot/grub/grub.cfg",
		"boot/grub2/grub.cfg" };
	static const char *const tools[] = { "usr/bin/grub-editenv",
		"usr/bin/grub2-editenv", "usr/sbin/grub-editenv" };
	char config[PATH_MAX];
	size_t len;
	int r;

	*h = (struct host){ .root = root };
	if (!find_below(root, configs, ARRAY_SIZE(configs), config))
		return err_set(
			e, -ENOENT, "the host has no GRUB (no boot/grub/grub.cfg)");
	if (!find_below(root, tools, ARRAY_SIZE(tools), h->tool))
		return err_set(e, -ENOENT, "the host has GRUB and no grub-editenv");
	r = path_join(h->config, sizeof(h->config), root, config, NULL);
	if (r == 0 && snprintf(h->env, sizeof(h->env), "%.*s/grubenv",
			      (int)(strrchr(config, '/') - config), config) < 0)
		r = -ENAMETOOLONG;
	if (r == 0)
		r = file_read(h->config, GRUB_CONFIG_MAX, &h->text, &len, e);
	if (r < 0)
		return err_wrap(e, r, "GRUB");
	h->variable = grub_variable(h->text);
	if (!h->variable)
		return err_set(e, -ENOENT,
			"'%s' takes no default from grubenv (GRUB_DEFAULT=saved)",
			config);
	return 0;
}

/* "" when it cannot be read: as GRUB takes it. */
static void read_value(const struct host *h, const char *key, char out[GRUB_ENTRY_MAX])
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	size_t len;

	*out = '\0';
	if (path_join(path, sizeof(path), h->root, h->env, NULL) == 0 &&
		file_read(path, GRUB_CONFIG_MAX, &text, &len, NULL) == 0)
		grub_env_value(text, key, out);
}

static int enter_root(void *user)
{
	const char *root = user;

	return chroot(root) < 0 || chdir("/") < 0 ? -errno : 0;
}

/* @value "": unset. */
static int edit(const struct host *h, const char *key, const char *value, struct err *e)
{
	char word[GRUB_ENTRY_MAX + 64];
	const char *const argv[] = { h->tool, h->env, *value ? "set" : "unset", word,
		NULL };
	struct child_options o = { .argv = argv,
		.timeout_us = EDIT_SECONDS * USEC_PER_SEC,
		.out_max = 4096,
		.log_fd = -1,
		.setup = streq(h->root, "/") ? NULL : enter_root,
		.setup_user = (void *)h->root };
	CLEANUP(freep) char *out = NULL;
	int r, status = 0;

	(void)snprintf(word, sizeof(word), "%s%s%s", key, *value ? "=" : "", value);
	r = child_run(&o, &status, &out, e);
	if (r < 0)
		return err_wrap(e, r, "grub-editenv");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, -EIO, "grub-editenv: %.200s", out ? out : "");
	return 0;
}

/* ---- what we remember ---- */

static int note_path(const char *state, char out[PATH_MAX])
{
	return path_join(out, PATH_MAX, state, "grub.json", NULL);
}

static bool take(const struct json *j, const char *key, char *out, size_t size)
{
	const char *s = json_get_str(j, key);

	return s && snprintf(out, size, "%s", s) < (int)size;
}

static int note_read(const char *state, struct note *ret)
{
	CLEANUP(freep) char *text = NULL;
	CLEANUP(json_freep) struct json *j = NULL;
	struct note n = { "" };
	char path[PATH_MAX];
	size_t len;

	if (note_path(state, path) < 0 ||
		file_read(path, NOTE_MAX, &text, &len, NULL) < 0)
		return -ENOENT;
	if (json_parse(text, len, &j, NULL) < 0 || json_get_int(j, "version", 0) != 1 ||
		!take(j, "kernel", n.kernel, sizeof(n.kernel)) ||
		!take(j, "variable", n.variable, sizeof(n.variable)) ||
		!take(j, "entry", n.entry, sizeof(n.entry)) ||
		!take(j, "before", n.before, sizeof(n.before)) ||
		(!streq(n.variable, "saved_entry") && !streq(n.variable, "next_entry")))
		return -EBADMSG;
	*ret = n;
	return 0;
}

static int note_write(const char *state, const struct note *n, struct err *e)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct buf b CLEANUP(buf_done);
	char path[PATH_MAX];
	int r = note_path(state, path);

	buf_init(&b, NOTE_MAX);
	if (r < 0 || !j || json_set_int(j, "version", 1) < 0 ||
		json_set_str(j, "kernel", n->kernel) < 0 ||
		json_set_str(j, "variable", n->variable) < 0 ||
		json_set_str(j, "entry", n->entry) < 0 ||
		json_set_str(j, "before", n->before) < 0 || json_print(j, true, &b) < 0)
		return err_errno(e, -ENOMEM, "grub.json");
	r = file_write_if_changed(path, b.data, b.len, 0644, e);
	return MIN(r, 0);
}

static int note_drop(const char *state, struct err *e)
{
	char path[PATH_MAX];

	if (note_path(state, path) == 0 && unlink(path) < 0 && errno != ENOENT)
		return err_errno(e, -errno, "'%s'", path);
	return 0;
}

/* ---- the three questions ---- */

bool grub_is_noted(const char *state)
{
	char path[PATH_MAX];

	return note_path(state, path) == 0 && file_exists(path);
}

const char *grub_kept(struct arena *a, const char *root, const char *state)
{
	CLEANUP(host_done) struct host h = { .text = NULL };
	char now[GRUB_ENTRY_MAX];
	struct note n;

	if (note_read(state, &n) < 0 || host_init(&h, root, NULL) < 0)
		return NULL;
	read_value(&h, n.variable, now);
	return streq(now, n.entry) ? arena_strdup(a, n.kernel) : NULL;
}

static int find_bls(const char *root, const char *release, char out[GRUB_ENTRY_MAX]);

int grub_keep(const char *root, const char *state, const char *release, struct err *e)
{
	CLEANUP(host_done) struct host h = { .text = NULL };
	struct note n = { "" }, old;
	char now[GRUB_ENTRY_MAX];
	int r = host_init(&h, root, e);

	if (r < 0)
		return r;
	r = grub_find_entry(h.text, release, n.entry);
	if (r < 0 && strstr(h.text, "blscfg"))
		r = find_bls(root, release, n.entry);
	if (r < 0)
		return err_set(
			e, r, "GRUB has no entry of its own for kernel '%s'", release);
	(void)snprintf(n.kernel, sizeof(n.kernel), "%s", release);
	(void)snprintf(n.variable, sizeof(n.variable), "%s", h.variable);
	read_value(&h, h.variable, now);
	/* What was there before us, not before our last change. */
	if (note_read(state, &old) == 0 && streq(old.variable, n.variable))
		memcpy(n.before, streq(now, old.entry) || !*now ? old.before : now,
			sizeof(n.before));
	else
		memcpy(n.before, now, sizeof(n.before));
	/* First the way back: killed in between, there is nothing to put back yet. */
	r = note_write(state, &n, e);
	return r < 0 ? r : edit(&h, n.variable, n.entry, e);
}

int grub_let_go(const char *root, const char *state, struct err *e)
{
	CLEANUP(host_done) struct host h = { .text = NULL };
	char now[GRUB_ENTRY_MAX];
	struct note n;
	int r = note_read(state, &n);

	if (r < 0)
		return note_drop(state, e);
	r = host_init(&h, root, e);
	if (r == -ENOENT) {
		/* GRUB has gone, and our value with it. */
		err_clear(e);
		return note_drop(state, e);
	}
	if (r < 0)
		return r;
	read_value(&h, n.variable, now);
	if (streq(now, n.entry))
		r = edit(&h, n.variable, n.before, e);
	return r < 0 ? r : note_drop(state, e);
}

/* ---- entries of the boot loader specification, a file each ---- */

struct bls {
	const char *dir, *release;
	char *out;
};

static int visit_bls(const char *name, void *user)
{
	CLEANUP(freep) char *text = NULL;
	const struct bls *b = user;
	size_t n = strlen(name), len;
	char path[PATH_MAX], line[256];

	if (n <= 5 || !streq(name + n - 5, ".conf") || n - 5 >= GRUB_ENTRY_MAX ||
		strstr(name, "rescue") ||
		path_join(path, sizeof(path), b->dir, name, NULL) < 0 ||
		file_read(path, NOTE_MAX, &text, &len, NULL) < 0)
		return 0;
	(void)snprintf(line, sizeof(line), "version %s\n", b->release);
	if (!strstr(text, line))
		return 0;
	(void)snprintf(b->out, GRUB_ENTRY_MAX, "%.*s", (int)(n - 5), name);
	return 1;
}

static int find_bls(const char *root, const char *release, char out[GRUB_ENTRY_MAX])
{
	char dir[PATH_MAX];
	struct bls b = { dir, release, out };

	if (path_join(dir, sizeof(dir), root, "boot/loader/entries", NULL) < 0)
		return -ENAMETOOLONG;
	return dir_each(dir, visit_bls, &b, NULL) == 1 ? 0 : -ENOENT;
}
