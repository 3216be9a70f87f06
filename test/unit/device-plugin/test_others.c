// SPDX-License-Identifier: Apache-2.0
/* Other plugins in the kubelet's folder: real sockets and made-up checkpoints. */
#include "fake_sysfs.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "device-plugin/others.h"

static const uint64_t minute_us = 60 * USEC_PER_SEC;

/* A snapshot of one resource with these devices; freed with its arena. */
struct world {
	struct others *o;
	struct snapshot s;
	struct device devices[2];
	struct claim claims[2];
	struct unit units[2];
	struct resource_view views[1];
	char dir[128];
	uint64_t now_us;
};

static void world_new(struct world *w, const char *resource, const char *a, const char *b)
{
	*w = (struct world){ .now_us = minute_us };
	(void)snprintf(w->dir, sizeof(w->dir), "%s", fake_path("dp"));
	assert_int_equal(dir_make(w->dir, 0755, NULL), 0);
	(void)snprintf(w->devices[0].id, DEVICE_ID_MAX, "%s", a);
	(void)snprintf(w->devices[1].id, DEVICE_ID_MAX, "%s", b);
	for (size_t i = 0; i < 2; i++) {
		w->claims[i].device = &w->devices[i];
		w->claims[i].resource = resource;
		w->units[i] = (struct unit){ w->devices[i].id, &w->claims[i] };
	}
	w->views[0] = (struct resource_view){ resource, w->units, 2, false };
	w->s.arena = arena_new(1 << 20);
	assert_non_null(w->s.arena);
	assert_int_equal(others_new(w->dir, &w->o, NULL), 0);
}

static void world_done(struct world *w)
{
	others_free(w->o);
	arena_free(w->s.arena);
}

/* Looks anew; true when the resource is left to another plugin. */
static bool yields(struct world *w)
{
	w->s.claims = w->claims;
	w->s.n_claims = 2;
	w->s.resources = w->views;
	w->s.n_resources = 1;
	w->claims[0].served_by = w->claims[1].served_by = NULL;
	w->now_us += USEC_PER_SEC;
	others_look(w->o, w->now_us);
	assert_int_equal(others_apply(w->o, &w->s, NULL), 0);
	assert_true(!w->s.n_resources == !!w->claims[0].served_by);
	assert_true(!w->s.n_resources == !!w->claims[1].served_by);
	return w->s.n_resources == 0;
}

static int listen_at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", fake_path("dp/%s", name));
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void end(int fd, const char *name)
{
	assert_int_equal(close(fd), 0);
	(void)unlink(fake_path("dp/%s", name));
}

/* Each text is longer than the one before where the clock of files is coarse: the size tells. */
static void checkpoint(const char *text)
{
	static int turn;
	char padded[2048];

	(void)snprintf(padded, sizeof(padded), "%s%*s", text, ++turn, "");
	fake_file(fake_path("dp/kubelet_internal_checkpoint"), padded);
}

static void by_the_name_of_the_socket(void **state)
{
	static const struct {
		const char *socket, *resource;
		bool yields;
	} cases[] = {
		{ "nvidia-gpu.sock", "nvidia.com/gpu", true },
		{ "amd.com_gpu", "amd.com/gpu", true },
		{ "gpu.intel.com-i915.sock", "gpu.intel.com/i915", true },
		{ "gpu.intel.com-i915.sock", "gpu.intel.com/xe", false },
		{ "Ascend910.sock", "huawei.com/Ascend910", true },
		{ "Ascend910.sock", "huawei.com/Ascend310", false },
		{ "gpu.sock", "nvidia.com/gpu", false }, /* too short to tell whose */
		{ "nvidia-gpu.sock", "amd.com/gpu", false },
		{ "kubelet.sock", "kubelet.sock/x", false },
		{ "farrier-nvidia.com_gpu-1-a0.sock", "nvidia.com/gpu", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world w;
		int fd;

		world_new(&w, cases[i].resource, "0000:21:00.0", "0000:41:00.0");
		fd = listen_at(cases[i].socket);
		if (yields(&w) != cases[i].yields)
			fail_msg("case '%s', '%s'", cases[i].socket, cases[i].resource);
		end(fd, cases[i].socket);
		if (yields(&w)) /* gone: ours again */
			fail_msg("case '%s', '%s': for ever", cases[i].socket,
				cases[i].resource);
		world_done(&w);
	}
}

static void by_the_checkpoint(void **state)
{
	static const struct {
		const char *name, *text;
		bool yields;
	} cases[] = {
		{ "UUIDs",
			"{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[\"GPU-1\",\"GPU-2\"]}}}",
			true },
		{ "another resource",
			"{\"Data\":{\"RegisteredDevices\":{\"a.b/d\":[\"GPU-1\"]}}}",
			false },
		{ "none", "{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[]}}}", false },
		{ "ours", "{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[\"2-1\"]}}}",
			false },
		{ "one is ours",
			"{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[\"GPU-1\",\"2-1\"]}}}",
			false },
		{ "one that we had",
			"{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[\"0000:99:00.0\",\"GPU-1\"]}}}",
			false },
		{ "a replica that we had",
			"{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[\"0000:99:00.0::3\"]}}}",
			false },
		{ "like an address",
			"{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[\"0000:99:00.0x\"]}}}",
			true },
		{ "torn", "{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[\"GPU-1\"",
			false },
		{ "empty", "", false },
		{ "null", "{\"Data\":null}", false },
		{ "wrong types", "{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":7}}}",
			false },
		{ "wrong ids", "{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[7,{}]}}}",
			false },
		{ "an array", "[]", false },
		{ "UUIDs again",
			"{\"Data\":{\"RegisteredDevices\":{\"a.b/c\":[\"GPU-1\"]}}}",
			true },
	};
	struct world w;
	int fd;

	world_new(&w, "a.b/c", "2-1", "2-2");
	/* With nobody there it is only what was once. */
	checkpoint(cases[0].text);
	assert_false(yields(&w));
	fd = listen_at("some.sock");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		checkpoint(cases[i].text);
		if (yields(&w) != cases[i].yields)
			fail_msg("case '%s'", cases[i].name);
	}
	assert_non_null(strstr(w.claims[0].served_by, "GPU-1"));
	end(fd, "some.sock");
	assert_false(yields(&w));
	world_done(&w);
}

/* A socket that nobody listens on is left over; it is called again only after a minute. */
static void the_dead_do_not_count(void **state)
{
	struct world w;
	int fd;

	world_new(&w, "nvidia.com/gpu", "0000:21:00.0", "0000:41:00.0");
	fake_file(fake_path("dp/nvidia-gpu.sock.txt"), "no socket");
	fd = listen_at("nvidia-gpu.sock");
	assert_true(yields(&w));
	assert_int_equal(close(fd), 0);
	assert_true(yields(&w)); /* not asked yet */
	w.now_us += minute_us;
	assert_false(yields(&w));
	assert_false(others_any(w.o));
	/* Another one of that name. */
	assert_int_equal(unlink(fake_path("dp/nvidia-gpu.sock")), 0);
	assert_false(yields(&w));
	fd = listen_at("nvidia-gpu.sock");
	assert_true(yields(&w));
	end(fd, "nvidia-gpu.sock");
	world_done(&w);
}

#define FAKE(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE(by_the_name_of_the_socket),
		FAKE(by_the_checkpoint),
		FAKE(the_dead_do_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
