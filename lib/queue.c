// SPDX-License-Identifier: Apache-2.0
/* A heap of keys by due time, a map from key to entry, and one timer of the loop. */
#include "queue.h"

#include "map.h"

enum {
	QUEUE_KEYS_MAX = 1000000,
	QUEUE_BATCH = 16, /* keys worked on before the loop may look at anything else */
	QUEUE_HEAP_MIN = 64
};
static const uint64_t BASE_US = 200 * USEC_PER_MSEC;
static const uint64_t MAX_US = 1000 * USEC_PER_SEC;
static const size_t NOT_QUEUED = SIZE_MAX;

struct entry {
	uint64_t due_us;
	uint64_t seq; /* of two that are due at once, the older first */
	size_t at; /* place in the heap, or NOT_QUEUED */
	unsigned failures;
	char key[];
};

struct queue {
	struct loop *loop;
	struct loop_source *timer;
	queue_fn fn;
	void *user;
	uint64_t base_us, max_us;
	struct map *entries; /* queued or being worked on */
	struct entry **heap;
	size_t len, cap;
	uint64_t seq;
	struct entry *active;
	bool is_forgotten; /* the active one */
	bool is_paused;
};

static bool is_before(const struct entry *a, const struct entry *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->seq < b->seq;
}

static void place(struct queue *q, struct entry *n, size_t at)
{
	q->heap[at] = n;
	n->at = at;
}

static void sift_up(struct queue *q, struct entry *n, size_t at)
{
	while (at > 0 && is_before(n, q->heap[(at - 1) / 2])) {
		place(q, q->heap[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	place(q, n, at);
}

static void sift_down(struct queue *q, struct entry *n, size_t at)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= q->len)
			break;
		if (child + 1 < q->len && is_before(q->heap[child + 1], q->heap[child]))
			child++;
		if (!is_before(q->heap[child], n))
			break;
		place(q, q->heap[child], at);
		at = child;
	}
	place(q, n, at);
}

static void heap_remove(struct queue *q, struct entry *n)
{
	size_t at = n->at;
	struct entry *last = q->heap[--q->len];

	n->at = NOT_QUEUED;
	if (last == n)
		return;
	if (at > 0 && is_before(last, q->heap[(at - 1) / 2]))
		sift_up(q, last, at);
	else
		sift_down(q, last, at);
}

static void arm(struct queue *q)
{
	bool is_idle = q->is_paused || q->len == 0;

	loop_timer_set(q->timer, is_idle ? UINT64_MAX : q->heap[0]->due_us);
}

/* Queues @n at @due_us, or earlier if it is queued earlier. Cannot fail: the room was made with the entry. */
static void schedule(struct queue *q, struct entry *n, uint64_t due_us)
{
	if (n->at != NOT_QUEUED) {
		if (n->due_us <= due_us)
			return;
		heap_remove(q, n);
	}
	n->due_us = due_us;
	n->seq = q->seq++;
	sift_up(q, n, q->len++);
}

/* Makes room in the heap for every entry that exists and one more. */
static int reserve(struct queue *q)
{
	size_t need = map_len(q->entries) + 1;
	struct entry **heap;
	size_t cap;

	if (need > QUEUE_KEYS_MAX)
		return -E2BIG;
	if (need <= q->cap)
		return 0;
	cap = MAX(2 * q->cap, (size_t)QUEUE_HEAP_MIN);
	heap = realloc(q->heap, cap * sizeof(struct entry *));
	if (!heap)
		return -ENOMEM;
	q->heap = heap;
	q->cap = cap;
	return 0;
}

static int entry_new(struct queue *q, const char *key, struct entry **ret)
{
	size_t n = strlen(key) + 1;
	struct entry *en;
	int r = reserve(q);

	if (r < 0)
		return r;
	en = calloc(1, sizeof(*en) + n);
	if (!en)
		return -ENOMEM;
	memcpy(en->key, key, n);
	en->at = NOT_QUEUED;
	r = map_set(q->entries, key, en);
	if (r < 0)
		return r;
	*ret = en;
	return 0;
}

static uint64_t backoff(struct queue *q, unsigned failures)
{
	uint64_t d = q->base_us;

	for (unsigned i = 1; i < failures && d < q->max_us; i++)
		d *= 2;
	d = MIN(d, q->max_us);
	return d - loop_random(q->loop, d / 2 + 1);
}

static void work(struct queue *q, struct entry *n)
{
	uint64_t now;
	int64_t r;

	heap_remove(q, n);
	q->active = n;
	q->is_forgotten = false;
	r = q->fn(n->key, q->user);
	q->active = NULL;

	now = loop_now(q->loop);
	if (r < 0 && !q->is_forgotten) {
		n->failures += n->failures < UINT16_MAX;
		schedule(q, n, now + backoff(q, n->failures));
	} else {
		n->failures = 0;
		if (r > 0 && !q->is_forgotten)
			schedule(q, n, now + (uint64_t)r);
	}
	if (n->at == NOT_QUEUED)
		(void)map_del(q->entries, n->key);
}

static void on_timer(void *user)
{
	struct queue *q = user;

	for (unsigned i = 0; i < QUEUE_BATCH && q->len && !q->is_paused; i++) {
		if (q->heap[0]->due_us > loop_now(q->loop))
			break;
		work(q, q->heap[0]);
	}
	arm(q);
}

int queue_new(struct loop *l, const struct queue_options *o, queue_fn fn, void *user,
	struct queue **ret, struct err *e)
{
	CLEANUP(queue_freep) struct queue *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return err_set(e, -ENOMEM, "out of memory");
	q->loop = l;
	q->fn = fn;
	q->user = user;
	q->base_us = o && o->base_us ? o->base_us : BASE_US;
	q->max_us = o && o->max_us ? o->max_us : MAX_US;
	q->entries = map_new(free);
	if (!q->entries)
		return err_set(e, -ENOMEM, "out of memory");
	r = loop_timer(l, UINT64_MAX, on_timer, q, &q->timer);
	if (r < 0)
		return err_errno(e, r, "timer of the queue");
	*ret = TAKE(q);
	return 0;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	loop_source_free(q->timer);
	map_free(q->entries);
	free(q->heap);
	free(q);
}

int queue_add_after(struct queue *q, const char *key, uint64_t delay_us)
{
	struct entry *n = map_get(q->entries, key);
	uint64_t now = loop_now(q->loop);
	int r;

	if (!n) {
		r = entry_new(q, key, &n);
		if (r < 0)
			return r;
	}
	schedule(q, n, delay_us > UINT64_MAX - now ? UINT64_MAX : now + delay_us);
	arm(q);
	return 0;
}

int queue_add(struct queue *q, const char *key)
{
	return queue_add_after(q, key, 0);
}

void queue_forget(struct queue *q, const char *key)
{
	struct entry *n = map_get(q->entries, key);

	if (!n)
		return;
	n->failures = 0;
	if (n->at != NOT_QUEUED)
		heap_remove(q, n);
	if (n == q->active)
		q->is_forgotten = true;
	else
		(void)map_del(q->entries, key);
	arm(q);
}

size_t queue_len(const struct queue *q)
{
	return q->len;
}

void queue_pause(struct queue *q, bool is_paused)
{
	q->is_paused = is_paused;
	arm(q);
}
