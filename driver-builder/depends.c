// SPDX-License-Identifier: Apache-2.0
/* The artifacts that another one depends on, looked up in the store. */
#include "depends.h"

#include <limits.h>

#include "file.h"

static int add_paths(const struct artifact *d, struct arena *arena, const char **paths,
	size_t max, size_t *n)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < d->modules_n; i++) {
		int r = path_join(path, sizeof(path), d->dir, d->modules[i].file, NULL);

		if (r < 0)
			return r;
		if (*n >= max)
			return -E2BIG;
		paths[*n] = arena_strdup(arena, path);
		if (!paths[*n])
			return -ENOMEM;
		++*n;
	}
	return 0;
}

int depends_paths(const char *state, const struct artifact *a, struct arena *arena,
	const char **paths, size_t max, size_t *n, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->depends_n; i++) {
		struct artifact d = { 0 };

		r = store_get(state, a->depends[i], &d, e);
		if (r < 0)
			return err_reason(e, r, REASON_DEPENDENCY_MISSING,
				"artifact %.12s, which this one was built against, is no "
				"longer in the store",
				a->depends[i]);
		r = add_paths(&d, arena, paths, max, n);
		artifact_done(&d);
		if (r < 0)
			return err_errno(e, r, "dependencies");
	}
	return r;
}
