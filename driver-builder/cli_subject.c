// SPDX-License-Identifier: Apache-2.0
/* Reads for a command what the agent would read for itself. */
#include "cli_subject.h"

#include "json.h"

enum { ARENA_MAX = 32 << 20 };

void subject_done(struct subject *s)
{
	kernels_done(&s->kernels);
	records_free(s->records);
	json_free(s->node);
	manifests_free(s->manifests);
	arena_free(s->a);
	*s = (struct subject){ .a = NULL };
}

static int read_manifests(
	struct subject *s, const char *dir, struct desired *ret, struct err *e)
{
	int r = s->manifests ? 0 : manifests_new(&s->manifests);

	if (r == 0)
		r = manifests_read(s->manifests, s->a, dir, ret, e);
	return r < 0 ? err_wrap(e, r, "manifests") : 0;
}

static int read_desired(
	struct subject *s, const struct env *env, const char *manifests, struct err *e)
{
	int r = desired_read(s->a, env->state, &s->node, &s->desired, e);

	if (r != -ENOENT)
		return r;
	err_clear(e);
	return read_manifests(s, manifests, &s->desired, e);
}

int subject_init(
	struct subject *s, const struct env *env, const char *manifests, struct err *e)
{
	int r;

	*s = (struct subject){ .a = arena_new(ARENA_MAX) };
	if (!s->a || records_new(&s->records) < 0)
		return err_errno(e, -ENOMEM, "memory");
	r = read_desired(s, env, manifests, e);
	if (r == 0)
		r = records_read(s->records, env->state, e);
	if (r == -EBADMSG) {
		err_clear(e);
		r = 0;
	}
	return r == 0 ? kernels_scan(env->root, &s->kernels, e) : r;
}

static const struct api_node_driver *find(const struct desired *d, const char *name)
{
	const struct api_node_driver *x = d->drivers.items;

	for (size_t i = 0; i < d->drivers.n; i++)
		if (streq(x[i].name, name))
			return &x[i];
	return NULL;
}

int subject_driver(struct subject *s, const char *manifests, const char *name,
	const struct api_node_driver **ret, struct err *e)
{
	const struct api_node_driver *found = find(&s->desired, name);
	struct desired d = s->desired;
	int r;

	if (!found && s->node) {
		r = read_manifests(s, manifests, &d, e);
		if (r < 0)
			return r;
		found = find(&d, name);
	}
	if (!found && d.errors.n > 0)
		return err_reason(e, -ENOENT, REASON_MANIFEST_INVALID, "%s",
			((const struct desired_error *)d.errors.items)[0].message);
	if (!found)
		return err_set(e, -ENOENT, "driver '%s' is wanted by nobody here", name);
	*ret = found;
	return 0;
}

int subject_kernel(const struct subject *s, const struct env *env, const char *release,
	const struct kernel **ret, struct err *e)
{
	const struct kernel *k = kernels_find(&s->kernels, release);

	if (!k)
		return err_reason(e, -ENOENT, REASON_HEADERS_MISSING,
			"kernel '%s' is not installed below '%s'", release, env->root);
	*ret = k;
	return 0;
}
