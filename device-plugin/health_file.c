// SPDX-License-Identifier: Apache-2.0
/* One entry for each file and command: its child, and its last word. */
#include "health_file.h"

#include <fcntl.h>
#include <stdio.h>

#include "map.h"
#include "probe.h"

enum { WORD_MAX = 96, RUNNING_MAX = 16 };
static const uint64_t again_us = 4 * USEC_PER_SEC;
static const uint64_t timeout_us = 2 * USEC_PER_SEC;
/* A command is killed by the child that runs it; that one has this much longer. */
static const uint64_t grace_us = 2 * USEC_PER_SEC;
static const uint64_t forget_us = 60 * USEC_PER_SEC;

struct entry {
	struct health_files *owner;
	char *what; /* the path, or the arguments */
	bool is_command;
	uint64_t again_us, timeout_us; /* when to ask again, how long to wait */
	struct probe *probe;
	bool is_waiting; /* for an answer */
	enum health_file verdict;
	char text[WORD_MAX];
	uint64_t asked_us,
		wanted_us; /* when the child was started, when somebody last wanted it */
};

struct health_files {
	struct loop *loop;
	void (*on_change)(void *user);
	void *user;
	struct map *entries; /* by path or arguments; a command's have HEALTH_ARGS_END */
	size_t running;
};

static void entry_free(void *value)
{
	struct entry *x = value;

	if (!x)
		return;
	x->owner->running -= x->is_waiting;
	probe_free(x->probe);
	free(x->what);
	free(x);
}

int health_files_new(struct loop *l, void (*on_change)(void *user), void *user,
	struct health_files **ret)
{
	CLEANUP(health_files_freep) struct health_files *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->loop = l;
	h->on_change = on_change;
	h->user = user;
	h->entries = map_new(entry_free);
	if (!h->entries)
		return -ENOMEM;
	*ret = TAKE(h);
	return 0;
}

void health_files_free(struct health_files *h)
{
	if (!h)
		return;
	map_free(h->entries);
	free(h);
}

/* In the child. */
static int read_file(const void *what, char *out, size_t size)
{
	int fd = open(what, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, MIN(size, (size_t)WORD_MAX - 1));
	return n < 0 ? -errno : (int)n;
}

enum health_file health_file_verdict(const char *text)
{
	const char *p = text;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
		p += 2;
	return p[strspn(p, "0")] ? HEALTH_FILE_ILL : HEALTH_FILE_GOOD;
}

/* The first line, and of that what can be shown. */
static void set_word(char *out, const char *text)
{
	size_t n = 0;

	for (; text[n] && text[n] != '\n' && n + 1 < WORD_MAX; n++)
		out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

static void ask(struct health_files *h, struct entry *x, uint64_t now);

/* There is room for one more: those that found none at the last look. */
static void ask_others(struct health_files *h)
{
	uint64_t now = loop_now(h->loop);
	const char *path;
	void *value;
	size_t it = 0;

	while (h->running < RUNNING_MAX && map_next(h->entries, &it, &path, &value)) {
		struct entry *x = value;

		if (x->wanted_us > x->asked_us)
			ask(h, x, now);
	}
}

static void on_answer(int r, const char *text, void *user)
{
	struct entry *x = user;
	enum health_file verdict;
	char word[WORD_MAX];

	x->is_waiting = false;
	x->owner->running--;
	ask_others(x->owner);
	if (r == 0 && x->is_command)
		verdict = health_command_verdict(text, &text);
	else if (r == -ETIMEDOUT)
		verdict = HEALTH_FILE_SILENT;
	else if (x->is_command)
		verdict = HEALTH_FILE_FAILED;
	set_word(word, r < 0 ? strerror(-r) : text);
	if (!x->is_command && r != -ETIMEDOUT)
		verdict = r < 0 ? HEALTH_FILE_ILL : health_file_verdict(word);
	if (verdict == x->verdict && streq(word, x->text))
		return;
	x->verdict = verdict;
	memcpy(x->text, word, sizeof(word));
	x->owner->on_change(x->owner->user);
}

static int start(struct health_files *h, struct entry *x, struct probe **ret)
{
	struct health_command c = { x->what, x->timeout_us };

	if (!x->is_command)
		return probe_start(
			h->loop, read_file, x->what, x->timeout_us, on_answer, x, ret);
	return probe_start(h->loop, health_command_ask, &c, x->timeout_us + grace_us,
		on_answer, x, ret);
}

/* What complains is asked again soon: one bad answer is not an illness. */
static bool is_time(const struct entry *x, uint64_t now)
{
	bool is_good = x->verdict == HEALTH_FILE_GOOD;

	return !x->asked_us ||
	       now - x->asked_us >= (is_good ? x->again_us : MIN(x->again_us, again_us));
}

static void ask(struct health_files *h, struct entry *x, uint64_t now)
{
	struct probe *fresh = NULL;

	if (x->is_waiting || !is_time(x, now) || h->running >= RUNNING_MAX)
		return;
	if (x->probe && probe_is_stuck(x->probe))
		return; /* the one that hangs is asked no further question */
	probe_free(TAKE(x->probe));
	if (start(h, x, &fresh) < 0)
		return; /* no process to be had: next time */
	x->probe = fresh;
	x->asked_us = now;
	x->is_waiting = true;
	h->running++;
}

static struct entry *entry_of(struct health_files *h, const char *what)
{
	struct entry *x = map_get(h->entries, what);

	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->owner = h;
	x->what = strdup(what);
	if (!x->what) {
		entry_free(x);
		return NULL;
	}
	return map_set(h->entries, what, x) < 0 ? NULL : x;
}

static enum health_file get(struct health_files *h, struct entry *x, uint64_t interval_us,
	uint64_t limit_us, const char **ret_text)
{
	uint64_t now = loop_now(h->loop);

	x->again_us = interval_us;
	x->timeout_us = limit_us;
	x->wanted_us = now;
	ask(h, x, now);
	*ret_text = x->text;
	return x->verdict;
}

enum health_file health_files_get(
	struct health_files *h, const char *path, const char **ret_text)
{
	struct entry *x = entry_of(h, path);

	*ret_text = "";
	return x ? get(h, x, again_us, timeout_us, ret_text) : HEALTH_FILE_NONE;
}

enum health_file health_files_run(struct health_files *h, const struct health_command *c,
	uint64_t interval_us, const char **ret_text)
{
	struct entry *x = entry_of(h, c->args);

	*ret_text = "";
	if (!x)
		return HEALTH_FILE_NONE;
	x->is_command = true;
	return get(h, x, interval_us, c->timeout_us, ret_text);
}

void health_files_sweep(struct health_files *h)
{
	uint64_t now = loop_now(h->loop);
	const char *path;
	void *value;
	size_t it = 0;

	while (map_next(h->entries, &it, &path, &value))
		if (now - ((struct entry *)value)->wanted_us > forget_us)
			(void)map_del(h->entries, path);
}

bool health_files_pending(const struct health_files *h)
{
	return h->running > 0;
}
