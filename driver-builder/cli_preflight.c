// SPDX-License-Identifier: Apache-2.0
/* `preflight`: would this kernel lose a driver? Answered from what was built and installed, without an
 * agent; for scripts that are about to reboot, and for images before they are shipped. */
#include <stdio.h>
#include <time.h>

#include "api.h"
#include "cli.h"
#include "cli_subject.h"
#include "status.h"

enum { TEXT_MAX = 1 << 20 };

static uint64_t now_us(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* The status as the agent would say it now. */
static int look(
	struct subject *s, const struct env *env, struct json **ret, struct err *e)
{
	struct api_node_status st;
	struct seen seen = { 0 };
	struct list none = { NULL, 0 };
	struct memory m;
	struct plan plan;
	uint64_t now = now_us();
	int r = memory_init(&m, env, e);

	if (r < 0)
		return r;
	r = records_read(m.records, env->state, e);
	if (r ==
		-EBADMSG) { /* damaged ones count as none: nothing is known to be ready */
		err_clear(e);
		r = 0;
	}
	if (r == 0)
		r = observe(&m, s->a, &s->desired, now, &seen, e);
	if (r == 0) {
		r = plan_make(s->a, &seen.in, now, &plan);
		if (r == 0)
			r = status_make(s->a, &seen, &plan, &none, now, &st);
		if (r < 0)
			(void)err_errno(e, r, "status");
	}
	if (r == 0) {
		*ret = field_print(api_node_status_fields, &st);
		r = *ret ? 0 : err_errno(e, -ENOMEM, "status");
	}
	seen_done(&seen);
	memory_done(&m);
	return r;
}

static const struct json *kernel_of(const struct json *status, const char *release)
{
	const struct json *list = json_get(status, "kernels");

	for (size_t i = 0; i < json_len(list); i++) {
		const char *name = json_get_str(json_at(list, i), "release");

		if (name && streq(name, release))
			return json_at(list, i);
	}
	return NULL;
}

/* BUILD_EXCLUSIVE is the driver's own word: nothing is lost that was ever promised. */
static bool is_fine(const char *state)
{
	return streq(state, "Ready") || streq(state, "NotApplicable");
}

static const char *text_of(const struct json *j, const char *key)
{
	const char *s = json_get_str(j, key);

	return s ? s : "";
}

/* One driver, told in @b and added to @list. 1 when it would be lost. */
static int tell(const struct json *d, struct json *list, struct buf *b)
{
	const char *state = text_of(d, "state"), *reason = text_of(d, "reason");
	const char *remedy = *reason ? reason_remedy(reason_from_name(reason)) : "";
	bool is_lost = !is_fine(state);
	struct json *x = json_new_object();

	(void)buf_fmt(b, "  %-24s %-14s %s%s%s\n", text_of(d, "name"), state, reason,
		*reason && *text_of(d, "message") ? ": " : "",
		is_lost && !*reason ? "not built yet: `build --driver` does it now"
				    : text_of(d, "message"));
	if (is_lost && *remedy)
		(void)buf_fmt(b, "  -> %s\n", remedy);
	if (!x || json_set_str(x, "name", text_of(d, "name")) < 0 ||
		json_set_str(x, "state", state) < 0 ||
		json_set_bool(x, "lost", is_lost) < 0 ||
		json_set_str(x, "reason", reason) < 0 ||
		json_set_str(x, "message", text_of(d, "message")) < 0 ||
		json_set_str(x, "remedy", is_lost ? remedy : "") < 0) {
		json_free(x);
		return -ENOMEM;
	}
	if (json_add(list, x) < 0)
		return -ENOMEM;
	return is_lost;
}

/* What nobody could read may be a driver as well: not to know is no permission. */
static int tell_errors(const struct desired *d, struct json *list, struct buf *b)
{
	const struct desired_error *x = d->errors.items;

	for (size_t i = 0; i < d->errors.n; i++) {
		(void)buf_fmt(b, "  %s: %s\n", reason_name(x[i].reason), x[i].message);
		if (json_add(list, json_new_str(x[i].message)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int answer(const struct cli *c, const struct subject *s, const struct json *kernel,
	const char *release)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct json *drivers = json_new_array(), *errors = json_new_array();
	const struct json *ds = json_get(kernel, "drivers");
	struct buf b CLEANUP(buf_done);
	int r = drivers && errors ? 0 : -ENOMEM, lost = 0;

	buf_init(&b, TEXT_MAX);
	(void)buf_fmt(&b, "kernel %s\n", release);
	for (size_t i = 0; r == 0 && i < json_len(ds); i++) {
		r = tell(json_at(ds, i), drivers, &b);
		lost += r > 0;
		r = MIN(r, 0);
	}
	if (r == 0)
		r = tell_errors(&s->desired, errors, &b);
	if (lost)
		(void)buf_fmt(&b, "a boot of it would lose %d of %zu drivers\n", lost,
			json_len(ds));
	else
		(void)buf_fmt(&b, "a boot of it keeps %zu drivers\n", json_len(ds));
	if (s->desired.errors.n)
		(void)buf_str(&b, "and not every manifest can be read\n");
	lost += (int)s->desired.errors.n;
	if (r < 0 || !j) {
		json_free(drivers);
		json_free(errors);
		return CLI_FAILED;
	}
	r = json_set(j, "drivers", drivers);
	if (r < 0) {
		json_free(errors);
		return CLI_FAILED;
	}
	if (json_set(j, "errors", errors) < 0 || json_set_str(j, "kernel", release) < 0 ||
		json_set_bool(j, "ok", lost == 0) < 0 || buf_ok(&b) < 0 ||
		cli_print(c, j, buf_cstr(&b)) != CLI_DONE)
		return CLI_FAILED;
	return lost ? CLI_FAILED : CLI_DONE;
}

int cli_preflight(struct cli *c, int argc, char **argv)
{
	struct subject s CLEANUP(subject_done) = { 0 };
	CLEANUP(json_freep) struct json *status = NULL;
	const char *release = NULL, *manifests = ENV_MANIFESTS;
	const struct cli_option own[] = {
		{ "kernel", "RELEASE", &release, "as in /lib/modules" },
		{ "manifests", "DIR", &manifests,
			"AcceleratorDriver files (" ENV_MANIFESTS ")" },
		{ NULL },
	};
	const struct json *found;
	const struct kernel *k;
	struct err e = { 0 };
	int r;

	if (!cli_parse(c, cli_find("preflight"), own, argc, argv, 0, 0))
		return cli_early(c);
	if (!release) {
		(void)fprintf(stderr, "farrier-driver-builder preflight: --kernel is "
				      "needed (see --help)\n");
		return CLI_USAGE;
	}
	r = subject_init(&s, &c->env, manifests, &e);
	if (r == 0)
		r = subject_kernel(&s, &c->env, release, &k, &e);
	if (r == 0)
		r = look(&s, &c->env, &status, &e);
	if (r < 0)
		return cli_fail(c, &e);
	found = kernel_of(status, release);
	if (!found) {
		(void)err_reason(&e, -ENOENT, REASON_HEADERS_MISSING,
			"kernel '%s' is not complete: %s", release,
			k->missing ? k->missing : kernel_install_names[k->install]);
		return cli_fail(c, &e);
	}
	return answer(c, &s, found, release);
}
