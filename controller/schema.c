// SPDX-License-Identifier: Apache-2.0
/* Reads the version of each CustomResourceDefinition, one after the other. */
#include "schema.h"

#include <stdio.h>

#include "log.h"

#define DEFINITIONS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
#define ANNOTATION "farrier.dev/version"

static const uint64_t EVERY_US = 600 * USEC_PER_SEC;
static const uint64_t TIMEOUT_US = 30 * USEC_PER_SEC;

static const char *const names[] = {
	"acceleratordrivers.farrier.dev",
	"acceleratorclasses.farrier.dev",
	"acceleratornodes.farrier.dev",
};

struct schema {
	struct kube *kube;
	void (*on_change)(void *user);
	void *user;
	struct loop_source *timer;
	struct http_req *req;
	size_t at; /* the one that is asked for */
	char note[256], next[256]; /* as known; as being found out */
};

/* The number at *@s, which then stands behind it and its dot; -1: none. */
static int64_t part(const char **s)
{
	int64_t n = 0;
	const char *p = *s;

	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++)
		n = n < 1000000 ? n * 10 + (*p - '0') : n;
	*s = *p == '.' ? p + 1 : p;
	return n;
}

int schema_compare(const char *a, const char *b)
{
	a += *a == 'v';
	b += *b == 'v';
	for (int i = 0; i < 3; i++) {
		int64_t x = part(&a), y = part(&b);

		if (i == 0 && (x < 0 || y < 0))
			return 0;
		x = MAX(x, (int64_t)0);
		y = MAX(y, (int64_t)0);
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

static void ask(struct schema *s);

static void end_round(struct schema *s)
{
	s->at = 0;
	loop_timer_set(s->timer, loop_now(kube_loop(s->kube)) + EVERY_US);
	if (streq(s->note, s->next))
		return;
	memcpy(s->note, s->next, sizeof(s->note));
	log_event(*s->note ? LOG_WARN : LOG_INFO,
		*s->note ? "definitions are too old" : "definitions are new enough",
		"why", *s->note ? s->note : NULL, NULL);
	s->on_change(s->user);
}

static void on_answer(const struct kube_response *res, void *user)
{
	struct schema *s = user;
	const char *version = res->result < 0
				      ? NULL
				      : json_get_str(json_path(res->obj,
							     "metadata.annotations"),
						ANNOTATION);

	s->req = NULL;
	if (version && schema_compare(version, FARRIER_VERSION) < 0)
		(void)snprintf(s->next, sizeof(s->next),
			"CustomResourceDefinition '%s' is of version %.32s, the controller "
			"of %s: upgrade it",
			names[s->at], version, FARRIER_VERSION);
	if (++s->at < ARRAY_SIZE(names))
		ask(s);
	else
		end_round(s);
}

static void ask(struct schema *s)
{
	char path[256];
	struct err e = { 0 };

	(void)snprintf(path, sizeof(path), DEFINITIONS "%s", names[s->at]);
	if (kube_request(s->kube, "GET", path, NULL, NULL, TIMEOUT_US, on_answer, s,
		    &s->req, &e) >= 0)
		return;
	log_error(&e, "definitions not read", NULL);
	end_round(s);
}

static void on_timer(void *user)
{
	struct schema *s = user;

	*s->next = '\0';
	if (!s->req)
		ask(s);
}

int schema_new(struct kube *k, void (*on_change)(void *user), void *user,
	struct schema **ret, struct err *e)
{
	CLEANUP(schema_freep) struct schema *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->kube = k;
	s->on_change = on_change;
	s->user = user;
	r = loop_timer(kube_loop(k), loop_now(kube_loop(k)), on_timer, s, &s->timer);
	if (r < 0)
		return err_errno(e, r, "timer");
	*ret = TAKE(s);
	return 0;
}

void schema_free(struct schema *s)
{
	if (!s)
		return;
	http_cancel(s->req);
	loop_source_free(s->timer);
	free(s);
}

const char *schema_note(const struct schema *s)
{
	return s && *s->note ? s->note : NULL;
}
