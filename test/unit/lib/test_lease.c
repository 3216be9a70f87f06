// SPDX-License-Identifier: Apache-2.0
/* Leader election among several candidates at one server that keeps resourceVersions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_server.h"
#include "lease.h"

#define COLLECTION "/apis/coordination.k8s.io/v1/namespaces/ns/leases"

struct candidate {
	struct lease *lease;
	const char *name;
	unsigned changes, links;
	bool is_leader; /* as told */
	bool is_up; /* as told */
	char why[256];
	bool is_released;
	bool frees_itself;
};

struct fixture {
	struct loop *loop;
	struct kube *kube;
	struct fake_server server;
	struct json *stored; /* the Lease, NULL: absent */
	int64_t version;
	bool is_silent; /* takes requests, does nothing, never answers */
	bool loses_answers; /* does everything, never answers */
	const char *error; /* answers this */
	unsigned writes, reads;
	struct candidate a, b;
};

static void answer_stored(struct fixture *f, struct fake_conn *c)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(json_print(f->stored, false, &b), 0);
	fake_reply(c, "200 OK", "", buf_cstr(&b));
	buf_done(&b);
}

static void store(struct fixture *f, struct json *obj)
{
	char version[32];
	struct json *meta = json_copy(json_get(obj, "metadata"));

	(void)snprintf(version, sizeof(version), "%lld", (long long)++f->version);
	assert_int_equal(json_set_str(meta, "resourceVersion", version), 0);
	assert_int_equal(json_set(obj, "metadata", meta), 0);
	json_free(f->stored);
	f->stored = obj;
	f->writes++;
}

static const char *stored_version(const struct fixture *f)
{
	return json_str(json_path(f->stored, "metadata.resourceVersion"));
}

/* What the server does with the request, and what it says about it. */
static const char *handle(struct fixture *f, const struct fake_request *q)
{
	struct json *body = NULL;
	const char *sent;

	if (streq(q->method, "GET")) {
		f->reads++;
		assert_string_equal(q->path, COLLECTION "/x");
		return f->stored ? NULL : "404 Not Found";
	}
	assert_int_equal(json_parse(q->body, strlen(q->body), &body, NULL), 0);
	assert_string_equal(json_get_str(body, "kind"), "Lease");
	if (streq(q->method, "POST")) {
		assert_string_equal(q->path, COLLECTION);
		if (f->stored) {
			json_free(body);
			return "409 Conflict";
		}
	} else {
		assert_string_equal(q->method, "PUT");
		assert_string_equal(q->path, COLLECTION "/x");
		sent = json_str(json_path(body, "metadata.resourceVersion"));
		assert_non_null(sent);
		if (!f->stored || !streq(sent, stored_version(f))) {
			json_free(body);
			return "409 Conflict";
		}
	}
	store(f, body);
	return NULL;
}

static void serve(struct fake_conn *c, const struct fake_request *q, void *user)
{
	struct fixture *f = user;
	const char *status;

	if (f->is_silent)
		return;
	if (f->error) {
		fake_reply(c, f->error, "", "{}");
		return;
	}
	status = handle(f, q);
	if (f->loses_answers)
		return;
	if (status)
		fake_reply(c, status, "", "{\"reason\":\"Conflict\"}");
	else
		answer_stored(f, c);
}

static int setup(void **state)
{
	static struct fixture f;
	char dir[] = "/tmp/farrier-lease-XXXXXX", path[64], text[512];
	struct kube_options o = { .kubeconfig = path };
	FILE *file;

	f = (struct fixture){ .loop = skewed_loop(), .a.name = "a", .b.name = "b" };
	loop_seed(f.loop, 42);
	fake_start(&f.server, f.loop, serve, &f);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/config", dir);
	(void)snprintf(text, sizeof(text),
		"current-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n"
		"clusters: [{name: a, cluster: {server: 'http://127.0.0.1:%u'}}]\n",
		f.server.port);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(kube_new(f.loop, &o, &f.kube, NULL), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lease_free(f->a.lease);
	lease_free(f->b.lease);
	kube_free(f->kube);
	fake_stop(&f->server);
	json_free(f->stored);
	loop_free(f->loop);
	return 0;
}

static void on_change(bool is_leader, void *user)
{
	struct candidate *c = user;

	assert_true(is_leader != c->is_leader);
	c->is_leader = is_leader;
	c->changes++;
	assert_int_equal(lease_is_leader(c->lease), is_leader);
	if (c->frees_itself) {
		lease_free(c->lease);
		c->lease = NULL;
	}
}

static void on_link(bool is_up, const char *why, void *user)
{
	struct candidate *c = user;

	assert_true(c->links == 0 || is_up != c->is_up);
	c->is_up = is_up;
	c->links++;
	(void)snprintf(c->why, sizeof(c->why), "%s", why);
}

static void join(struct fixture *f, struct candidate *c)
{
	struct lease_options o = {
		.namespace_ = "ns", .name = "x", .identity = c->name, .on_link = on_link
	};

	c->links = 0;
	c->changes = 0;
	c->is_leader = false;
	assert_int_equal(lease_new(f->kube, &o, on_change, c, &c->lease, NULL), 0);
	assert_int_equal(c->changes, 0);
	(void)pump(f->loop, NULL, 20);
}

/* Lets @s seconds go by, in steps of 500 ms with everything done in each. At no step do two lead. */
static void pass(struct fixture *f, unsigned s)
{
	for (unsigned i = 0; i < s * 2; i++) {
		skew_us += 500 * USEC_PER_MSEC;
		(void)pump(f->loop, NULL, 2);
		assert_false(f->a.is_leader && f->b.is_leader);
	}
}

static int64_t stored_int(struct fixture *f, const char *key)
{
	return json_get_int(json_get(f->stored, "spec"), key, -1);
}

static const char *holder(struct fixture *f)
{
	return json_str(json_path(f->stored, "spec.holderIdentity"));
}

static void the_first_leads_and_renews(void **state)
{
	struct fixture *f = *state;
	char renewed[64];

	join(f, &f->a);
	assert_true(f->a.is_leader);
	assert_string_equal(holder(f), "a");
	assert_int_equal(stored_int(f, "leaseDurationSeconds"), 15);
	assert_int_equal(stored_int(f, "leaseTransitions"), 0);
	assert_int_equal(strlen(json_str(json_path(f->stored, "spec.acquireTime"))), 27);
	(void)snprintf(renewed, sizeof(renewed), "%s",
		json_str(json_path(f->stored, "spec.renewTime")));
	f->reads = 0;
	f->writes = 0;
	pass(f, 20);
	/* Every 2 s one write, and no read. */
	assert_in_range(f->writes, 8, 11);
	assert_int_equal(f->reads, 0);
	assert_string_not_equal(
		renewed, json_str(json_path(f->stored, "spec.renewTime")));
	assert_int_equal(stored_int(f, "leaseTransitions"), 0);
	assert_int_equal(f->a.changes, 1);
}

static void the_second_waits_and_takes_over(void **state)
{
	struct fixture *f = *state;

	join(f, &f->a);
	join(f, &f->b);
	pass(f, 30);
	assert_true(f->a.is_leader);
	assert_false(f->b.is_leader);
	lease_free(f->a.lease); /* as if killed: nothing is released */
	f->a.lease = NULL;
	f->a.is_leader = false;
	pass(f, 14);
	assert_false(f->b.is_leader);
	pass(f, 6);
	assert_true(f->b.is_leader);
	assert_string_equal(holder(f), "b");
	assert_int_equal(stored_int(f, "leaseTransitions"), 1);
}

static void released_is_free_at_once(void **state)
{
	struct fixture *f = *state;

	join(f, &f->a);
	join(f, &f->b);
	pass(f, 3);
	assert_true(f->a.is_leader);
	lease_free(f->b.lease);
	f->b.lease = NULL;
	f->a.is_leader = false;
	(void)pump(f->loop, NULL, 20);
	{
		struct candidate *c = &f->a;
		unsigned changes = c->changes;

		lease_release(c->lease, NULL, NULL);
		assert_false(lease_is_leader(c->lease));
		(void)pump(f->loop, NULL, 50);
		assert_int_equal(c->changes, changes);
	}
	assert_string_equal(holder(f), "");
	assert_int_equal(stored_int(f, "leaseDurationSeconds"), 1);
	pass(f, 5);
	assert_string_equal(holder(f), ""); /* it does not come back */
	join(f, &f->b);
	assert_true(f->b.is_leader);
	assert_int_equal(stored_int(f, "leaseDurationSeconds"), 15);
}

static void on_released(void *user)
{
	struct candidate *c = user;

	c->is_released = true;
	lease_free(c->lease);
	c->lease = NULL;
}

static void releasing_always_ends(void **state)
{
	struct fixture *f = *state;

	/* who does not lead */
	json_free(f->stored);
	f->stored = NULL;
	join(f, &f->b);
	join(f, &f->a);
	f->writes = 0;
	lease_release(f->a.lease, on_released, &f->a);
	assert_false(f->a.is_released);
	(void)pump(f->loop, &f->a.is_released, 1000);
	assert_true(f->a.is_released);
	assert_string_equal(holder(f), "b");

	/* no answer: 2 s and no more */
	f->is_silent = true;
	lease_release(f->b.lease, on_released, &f->b);
	pass(f, 1);
	assert_false(f->b.is_released);
	pass(f, 2);
	assert_true(f->b.is_released);
}

static void released_in_mid_renewal(void **state)
{
	struct fixture *f = *state;

	join(f, &f->a);
	f->loses_answers = true;
	skew_us += 2100 * USEC_PER_MSEC;
	(void)pump(f->loop, NULL, 20); /* written, but we do not know the version */
	f->loses_answers = false;
	lease_release(f->a.lease, on_released, &f->a);
	(void)pump(f->loop, &f->a.is_released, 1000);
	assert_true(f->a.is_released);
	assert_string_equal(holder(f), "");
}

static void a_dead_server_ends_leadership_in_time(void **state)
{
	struct fixture *f = *state;

	join(f, &f->a);
	pass(f, 5);
	f->is_silent = true;
	pass(f, 7); /* renewed at most 2 s before, 10 s from then */
	assert_true(f->a.is_leader);
	pass(f, 4);
	assert_false(f->a.is_leader);
	/* Requests that hang end by curl's own clock, which does not jump. */
	f->is_silent = false;
	fake_kill(&f->server);
	fake_listen(&f->server);
	pass(f, 6);
	assert_true(f->a.is_leader);
	assert_int_equal(f->a.changes, 3);
}

static void errors_are_ridden_out(void **state)
{
	struct fixture *f = *state;

	join(f, &f->a);
	f->error = "500 Internal Server Error";
	pass(f, 7);
	f->error = NULL;
	pass(f, 20);
	assert_true(f->a.is_leader);
	assert_int_equal(f->a.changes, 1);

	/* An answer that was lost leaves us with an old version: read again, go on. */
	f->loses_answers = true;
	pass(f, 3);
	f->loses_answers = false;
	fake_kill(&f->server);
	fake_listen(&f->server);
	pass(f, 10);
	assert_true(f->a.is_leader);
	assert_int_equal(f->a.changes, 1);
}

static void a_server_that_fails_is_told_once(void **state)
{
	struct fixture *f = *state;

	f->error = "500 Internal Server Error";
	join(f, &f->a);
	pass(f, 10);
	assert_int_equal(f->a.links, 1);
	assert_false(f->a.is_up);
	assert_non_null(strstr(f->a.why, "500"));
	f->error = NULL;
	pass(f, 10);
	assert_int_equal(f->a.links, 2);
	assert_true(f->a.is_up);
	assert_string_equal(f->a.why, "");
	join(f, &f->b); /* who only waits hears of it as well */
	pass(f, 3);
	assert_int_equal(f->b.links, 1);
	assert_true(f->b.is_up);
}

static void put(struct fixture *f, const char *spec)
{
	char text[512];
	struct json *j = NULL;

	(void)snprintf(text, sizeof(text),
		"{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":"
		"\"x\",\"labels\":{\"keep\":\"me\"}},\"spec\":%s}",
		spec);
	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	store(f, j);
}

static void stolen_is_noticed(void **state)
{
	struct fixture *f = *state;

	join(f, &f->a);
	put(f, "{\"holderIdentity\":\"thief\",\"leaseDurationSeconds\":15}");
	pass(f, 5);
	assert_false(f->a.is_leader);
	assert_string_equal(holder(f), "thief");
	/* The thief never renews. */
	pass(f, 19);
	assert_true(f->a.is_leader);
	assert_string_equal(json_str(json_path(f->stored, "metadata.labels.keep")), "me");
}

static void others_leases_are_read_well(void **state)
{
	static const struct {
		const char *name, *spec;
		bool is_free;
	} cases[] = {
		{ "empty", "{}", true },
		{ "released", "{\"holderIdentity\":\"\",\"leaseDurationSeconds\":1}",
			true },
		{ "held",
			"{\"holderIdentity\":\"o\",\"leaseDurationSeconds\":15,\"leaseTransitions\":4}",
			false },
		{ "held, nonsense within",
			"{\"holderIdentity\":\"o\",\"leaseDurationSeconds\":-5,\"renewTime\":7}",
			false },
		{ "our own of a former life",
			"{\"holderIdentity\":\"a\",\"leaseDurationSeconds\":15}", true },
		{ "holder of a wrong type", "{\"holderIdentity\":7}", true },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put(f, cases[i].spec);
		join(f, &f->a);
		if (f->a.is_leader != cases[i].is_free)
			fail_msg("case '%s': %d", cases[i].name, f->a.is_leader);
		lease_free(f->a.lease);
		f->a.lease = NULL;
		f->a.is_leader = false;
	}
	put(f, cases[2].spec);
	join(f, &f->a);
	pass(f, 18);
	assert_true(f->a.is_leader);
	assert_int_equal(stored_int(f, "leaseTransitions"), 5);
}

static void of_two_takers_one_wins(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 5; round++) {
		put(f, "{\"holderIdentity\":\"gone\",\"leaseDurationSeconds\":15}");
		join(f, &f->a);
		join(f, &f->b);
		pass(f, 20); /* checks at each step */
		assert_true(f->a.is_leader != f->b.is_leader);
		lease_free(f->a.lease);
		lease_free(f->b.lease);
		f->a.lease = f->b.lease = NULL;
		f->a.is_leader = f->b.is_leader = false;
	}
}

static void wrong_options_are_refused(void **state)
{
	struct fixture *f = *state;
	struct lease_options o = { .namespace_ = "ns",
		.name = "x",
		.identity = "a",
		.duration_us = 5 * USEC_PER_SEC };
	struct lease *l = NULL;

	assert_int_equal(lease_new(f->kube, &o, on_change, NULL, &l, NULL), -EINVAL);
	o.duration_us = 0;
	o.identity = "";
	assert_int_equal(lease_new(f->kube, &o, on_change, NULL, &l, NULL), -EINVAL);
	lease_free(NULL);
}

static void freed_when_told(void **state)
{
	struct fixture *f = *state;

	f->a.frees_itself = true;
	join(f, &f->a);
	assert_int_equal(f->a.changes, 1);
	assert_null(f->a.lease);
	pass(f, 5);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_leads_and_renews),
		TEST(the_second_waits_and_takes_over),
		TEST(released_is_free_at_once),
		TEST(releasing_always_ends),
		TEST(released_in_mid_renewal),
		TEST(a_dead_server_ends_leadership_in_time),
		TEST(errors_are_ridden_out),
		TEST(a_server_that_fails_is_told_once),
		TEST(stolen_is_noticed),
		TEST(others_leases_are_read_well),
		TEST(of_two_takers_one_wins),
		TEST(wrong_options_are_refused),
		TEST(freed_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
