// SPDX-License-Identifier: Apache-2.0
/* Requests under way, by key. */
#include "ops.h"

#include "arena.h"

static const uint64_t TIMEOUT_US = 8 * USEC_PER_SEC; /* well below the lease's 15 s */

void op_drop_pods(struct op *op)
{
	struct view_pods *p = op->pods;

	op->pods = NULL;
	if (p)
		arena_free(p->arena);
}

void op_drop_gang(struct op *op)
{
	struct view_gang *g = op->gang;

	op->gang = NULL;
	if (g)
		arena_free(g->arena);
}

void op_free(void *value)
{
	struct op *op = value;

	if (!op)
		return;
	http_cancel(op->req);
	op_drop_pods(op);
	op_drop_gang(op);
	free(op->key);
	free(op);
}

struct op *op_get(
	struct map *ops, const char *key, void *owner, void (*after)(struct op *))
{
	struct op *op = map_get(ops, key);

	if (op)
		return op;
	op = calloc(1, sizeof(*op));
	if (!op)
		return NULL;
	op->owner = owner;
	op->after = after;
	op->key = strdup(key);
	if (!op->key) {
		free(op);
		return NULL;
	}
	op->name = strchr(op->key, '/') + 1;
	return map_set(ops, key, op) < 0 ? NULL : op;
}

bool op_is_refused(int result)
{
	return result == -EINVAL || result == -EACCES || result == -ENOENT ||
	       result == -EAGAIN || result == -EBUSY || result == -EEXIST ||
	       result == -ESTALE;
}

static void on_done(const struct kube_response *res, void *user)
{
	struct op *op = user;

	op->req = NULL;
	op->failed = res->result;
	op->done(op, res);
	op->after(op);
}

int op_start(struct op *op, struct kube *k, const char *method, const char *path,
	const char *content_type, const struct json *body, op_done_fn done, struct err *e)
{
	op->done = done;
	return kube_request(k, method, path, content_type, body, TIMEOUT_US, on_done, op,
		&op->req, e);
}
