// SPDX-License-Identifier: Apache-2.0
/* Who else serves what: sockets that answer, and the kubelet's own record. */
#include "others.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "file.h"
#include "log.h"

enum { NAME_TEXT_MAX = 384, WHY_MAX = 256, SHORT_NAME = 4 };
static const uint64_t call_again_us = 60 * USEC_PER_SEC;

/* A socket that is not ours. */
struct other {
	char name[108]; /* as sun_path takes it */
	ino_t ino;
	struct timespec ctime;
	uint64_t called_us;
	bool is_alive, is_seen;
};

/* A resource that is left to another plugin, for the log. */
struct yielded {
	char *resource;
	bool is_so;
};

struct others {
	const char *dir;
	struct other all[OTHERS_MAX];
	size_t n;
	struct json *checkpoint; /* NULL: none that can be read */
	struct stat checkpoint_is; /* what was read last; st_ino 0: nothing */
	struct yielded *yielded;
	size_t n_yielded;
};

int others_new(const char *kubelet_dir, struct others **ret, struct err *e)
{
	struct others *o = calloc(1, sizeof(*o));

	if (!o)
		return err_errno(e, -ENOMEM, "other plugins");
	o->dir = kubelet_dir;
	*ret = o;
	return 0;
}

void others_free(struct others *o)
{
	if (!o)
		return;
	json_free(o->checkpoint);
	for (size_t i = 0; i < o->n_yielded; i++)
		free(o->yielded[i].resource);
	free(o->yielded);
	free(o);
}

/* ---- sockets ---- */
/* Somebody listens, be it that he has no time now. */
static bool answers(const char *dir, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	CLEANUP(closep) int fd = -1;

	if (path_join(a.sun_path, sizeof(a.sun_path), dir, name, NULL) < 0)
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EAGAIN;
}

struct look {
	struct others *o;
	uint64_t now_us;
};

static struct other *find(struct others *o, const char *name)
{
	for (size_t i = 0; i < o->n; i++)
		if (streq(o->all[i].name, name))
			return &o->all[i];
	return NULL;
}

static int visit(const char *name, void *user)
{
	struct look *l = user;
	struct others *o = l->o;
	struct other *x = find(o, name);
	char path[1024];
	struct stat st;

	if (streq(name, "kubelet.sock") || str_starts(name, "farrier-") ||
		strlen(name) >= sizeof(x->name) ||
		path_join(path, sizeof(path), o->dir, name, NULL) < 0 ||
		lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return 0;
	if (!x && o->n == OTHERS_MAX)
		return 0;
	if (!x) {
		x = &o->all[o->n++];
		*x = (struct other){ 0 };
		memcpy(x->name, name, strlen(name) + 1);
	}
	x->is_seen = true;
	if (x->ino == st.st_ino &&
		memcmp(&x->ctime, &st.st_ctim, sizeof(x->ctime)) == 0 &&
		l->now_us - x->called_us < call_again_us)
		return 0;
	x->ino = st.st_ino;
	x->ctime = st.st_ctim;
	x->called_us = l->now_us;
	x->is_alive = answers(o->dir, name);
	return 0;
}

/* ---- the kubelet's checkpoint ---- */
/* Only read while somebody else is there, and when it is another one than before. */
static void read_checkpoint(struct others *o)
{
	CLEANUP(freep) char *text = NULL;
	char path[1024];
	struct stat st;
	size_t len = 0;

	if (path_join(path, sizeof(path), o->dir, "kubelet_internal_checkpoint", NULL) <
			0 ||
		stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
		st = (struct stat){ 0 };
	} else if (st.st_ino == o->checkpoint_is.st_ino &&
		   st.st_size == o->checkpoint_is.st_size &&
		   memcmp(&st.st_mtim, &o->checkpoint_is.st_mtim, sizeof(st.st_mtim)) ==
			   0) {
		return;
	}
	o->checkpoint_is = st;
	json_free(TAKE(o->checkpoint));
	if (st.st_ino && file_read(path, OTHERS_CHECKPOINT_MAX, &text, &len, NULL) == 0 &&
		json_parse(text, len, &o->checkpoint, NULL) < 0)
		o->checkpoint = NULL;
}

void others_look(struct others *o, uint64_t now_us)
{
	struct look l = { o, now_us };
	size_t kept = 0;

	for (size_t i = 0; i < o->n; i++)
		o->all[i].is_seen = false;
	(void)dir_each(o->dir, visit, &l, NULL);
	for (size_t i = 0; i < o->n; i++)
		if (o->all[i].is_seen)
			o->all[kept++] = o->all[i];
	o->n = kept;
	if (others_any(o))
		read_checkpoint(o);
}

bool others_any(const struct others *o)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->all[i].is_alive)
			return true;
	return false;
}

/* ---- who serves it ---- */
/* "gpu.intel.com/i915" and "gpu.intel.com-i915.sock" both read "gpu-intel-com-i915". */
static void plain(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && !streq(text, ".sock") && n + 1 < size; text++)
		out[n++] = isalnum((unsigned char)*text)
				   ? (char)tolower((unsigned char)*text)
				   : '-';
	out[n] = '\0';
}

/* Is the socket named after the resource: all of it, "nvidia-gpu" for nvidia.com/gpu, or "Ascend910"
 * for huawei.com/Ascend910? */
static bool is_named_after(const char *socket, const char *resource)
{
	char have[NAME_TEXT_MAX], want[NAME_TEXT_MAX], label[NAME_TEXT_MAX];
	const char *slash = strchr(resource, '/');

	plain(socket, have, sizeof(have));
	plain(resource, want, sizeof(want));
	if (streq(have, want))
		return true;
	if (!slash)
		return false;
	(void)snprintf(label, sizeof(label), "%.*s-%s", (int)strcspn(resource, "."),
		resource, slash + 1);
	plain(label, want, sizeof(want));
	if (streq(have, want))
		return true;
	plain(slash + 1, want, sizeof(want));
	return strlen(want) > SHORT_NAME && streq(have, want);
}

/* "0000:21:00.0", perhaps with "::3" behind it: as we and few others name devices. */
static bool is_address(const char *id)
{
	static const char form[] = "xxxx:xx:xx.x";
	size_t i;

	for (i = 0; form[i]; i++)
		if (form[i] == 'x' ? !isxdigit((unsigned char)id[i]) : id[i] != form[i])
			return false;
	return !id[i] || str_starts(id + i, "::");
}

static bool is_ours(const struct resource_view *v, const char *id)
{
	return is_address(id) || resource_unit(v, id);
}

/* A device of the resource that can only be another plugin's, when all of them are; NULL. */
static const char *foreign_id(const struct others *o, const struct resource_view *v)
{
	const struct json *ids = json_get(
		json_get(json_get(o->checkpoint, "Data"), "RegisteredDevices"), v->name);

	for (size_t i = 0; i < json_len(ids); i++) {
		const char *id = json_str(json_at(ids, i));

		if (!id || is_ours(v, id))
			return NULL;
	}
	return json_str(json_at(ids, 0));
}

/* Says who serves @v besides us; false when nobody does. */
static bool is_served(
	const struct others *o, const struct resource_view *v, char why[WHY_MAX])
{
	const char *id;

	for (size_t i = 0; i < o->n; i++) {
		if (!o->all[i].is_alive || !is_named_after(o->all[i].name, v->name))
			continue;
		(void)snprintf(why, WHY_MAX, "'%s' listens in the kubelet's folder",
			o->all[i].name);
		return true;
	}
	id = others_any(o) ? foreign_id(o, v) : NULL;
	if (!id)
		return false;
	(void)snprintf(why, WHY_MAX,
		"the kubelet knows its device '%.100s', which is not ours", id);
	return true;
}

/* ---- giving way ---- */
static int note(struct others *o, const char *resource, const char *why, bool is_told)
{
	struct yielded *y = NULL;

	for (size_t i = 0; i < o->n_yielded && !y; i++)
		if (streq(o->yielded[i].resource, resource))
			y = &o->yielded[i];
	if (y) {
		y->is_so = true;
		return 0;
	}
	y = realloc(o->yielded, (o->n_yielded + 1) * sizeof(*y));
	if (!y)
		return -ENOMEM;
	o->yielded = y;
	y += o->n_yielded;
	*y = (struct yielded){ strdup(resource), true };
	if (!y->resource)
		return -ENOMEM;
	o->n_yielded++;
	if (is_told)
		log_event(LOG_WARN, "another plugin serves the resource: left to it",
			"resource", resource, "why", why, "reason",
			reason_name(REASON_CONFLICT), NULL);
	return 0;
}

static void forget_past(struct others *o, bool is_told)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->n_yielded; i++) {
		if (o->yielded[i].is_so) {
			o->yielded[kept++] = o->yielded[i];
			continue;
		}
		if (is_told)
			log_event(LOG_INFO,
				"no other plugin serves the resource any more",
				"resource", o->yielded[i].resource, NULL);
		free(o->yielded[i].resource);
	}
	o->n_yielded = kept;
}

static void set_metrics(const struct others *o, struct metrics *m)
{
	metrics_clear(m, "farrier_plugin_yielding");
	for (size_t i = 0; i < o->n_yielded; i++) {
		struct buf labels;

		buf_init(&labels, 4096);
		if (metrics_label(&labels, "resource", o->yielded[i].resource) == 0)
			(void)metrics_set(m, METRIC_GAUGE, "farrier_plugin_yielding",
				buf_cstr(&labels),
				"1 while another plugin serves the resource.", 1);
		buf_done(&labels);
	}
}

static int mark(struct snapshot *s, const char *resource, const char *why)
{
	const char *text = arena_strdup(s->arena, why);

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_claims; i++)
		if (s->claims[i].resource && streq(s->claims[i].resource, resource))
			s->claims[i].served_by = text;
	return 0;
}

int others_apply(struct others *o, struct snapshot *s, struct metrics *m)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < o->n_yielded; i++)
		o->yielded[i].is_so = false;
	for (size_t i = 0; i < s->n_resources; i++) {
		struct resource_view *v = &s->resources[i];
		char why[WHY_MAX];

		if (!is_served(o, v, why)) {
			s->resources[kept++] = *v;
			continue;
		}
		r = mark(s, v->name, why);
		if (r == 0)
			r = note(o, v->name, why, m != NULL);
		if (r < 0)
			return r;
	}
	s->n_resources = kept;
	forget_past(o, m != NULL);
	if (m)
		set_metrics(o, m);
	return 0;
}
