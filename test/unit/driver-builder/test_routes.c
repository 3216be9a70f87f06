// SPDX-License-Identifier: Apache-2.0
/* routes.c on made-up /proc and /sys: which module the node is reached through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "driver-builder/routes.h"
#include "file.h"

#define HEAD \
	"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define ZEROS "00000000000000000000000000000000"

struct place {
	char top[64], sys[80], proc[80];
};

static void put(struct place *p, const char *file, const char *text)
{
	char path[PATH_MAX];
	char *slash;

	assert_int_equal(path_join(path, sizeof(path), p->top, file, NULL), 0);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void make_link(struct place *p, const char *target, const char *file)
{
	char path[PATH_MAX];
	char *slash;

	assert_int_equal(path_join(path, sizeof(path), p->top, file, NULL), 0);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(symlink(target, path), 0);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->top, sizeof(p->top), "/tmp/farrier-routes-XXXXXX");
	assert_non_null(mkdtemp(p->top));
	(void)snprintf(p->sys, sizeof(p->sys), "%s/sys", p->top);
	(void)snprintf(p->proc, sizeof(p->proc), "%s/proc", p->top);
	/* eth0: nic_a; eth1: nic_b; bond0 over eth1; br0 over bond0; loop0 over itself. */
	make_link(p, "../../module/nic_a", "sys/class/net/eth0/device/driver/module");
	make_link(p, "../../module/nic_b", "sys/class/net/eth1/device/driver/module");
	make_link(p, "../eth1", "sys/class/net/bond0/lower_eth1");
	make_link(p, "../bond0", "sys/class/net/br0/lower_bond0");
	make_link(p, "../loop0", "sys/class/net/loop0/lower_loop0");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	int r = dir_remove(p->top, NULL);

	free(p);
	return r;
}

static const struct {
	const char *name, *v4, *v6, *module, *iface;
} cases[] = {
	{ "no routes at all", "", "", "nic_a", NULL },
	{ "a default route",
		HEAD "eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", "",
		"nic_a", "eth0" },
	{ "names with a dash",
		HEAD "eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", "",
		"nic-a", "eth0" },
	{ "another module's",
		HEAD "eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", "",
		"nic_b", NULL },
	{ "a route to a network only",
		HEAD "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n", "",
		"nic_a", NULL },
	{ "a default route that is down",
		HEAD "eth0\t00000000\t0102000A\t0002\t0\t0\t0\t00000000\t0\t0\t0\n", "",
		"nic_a", NULL },
	{ "through a bridge and a bond",
		HEAD "br0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", "",
		"nic_b", "eth1" },
	{ "a device over itself ends",
		HEAD "loop0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", "",
		"nic_b", NULL },
	{ "by IPv6 only", HEAD,
		ZEROS " 00 " ZEROS
		      " 00 fe800000000000000000000000000001 00000400 00000001 "
		      "00000000 00000003     eth0\n",
		"nic_a", "eth0" },
	{ "unreachable by IPv6", HEAD,
		ZEROS " 00 " ZEROS " 00 " ZEROS
		      " ffffffff 00000001 00000000 00200201     eth0\n",
		"nic_a", NULL },
	{ "hostile names",
		HEAD "../../x\t00000000\t0\t0003\t0\t0\t0\t00000000\n"
		     ".\t00000000\t0\t0003\t0\t0\t0\t00000000\n",
		"", "nic_a", NULL },
	{ "cut off", HEAD "eth0\t00000000\t0102", "0000", "nic_a", NULL },
};

static void test_cases(void **state)
{
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena *a = arena_new(1 << 20);
		const char *iface;

		put(p, "proc/1/net/route", cases[i].v4);
		put(p, "proc/1/net/ipv6_route", cases[i].v6);
		/* Ours, as in a pod: not those that count. */
		put(p, "proc/net/route",
			HEAD "eth1\t00000000\t0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
		iface = routes_device_of(a, p->sys, p->proc, cases[i].module);
		if ((iface != NULL) != (cases[i].iface != NULL) ||
			(iface && !streq(iface, cases[i].iface)))
			fail_msg("case '%s': %s", cases[i].name, iface ? iface : "none");
		arena_free(a);
	}
}

static void test_nothing_to_read(void **state)
{
	struct arena *a = arena_new(1 << 20);

	assert_null(routes_device_of(a, "/nonexistent", "/nonexistent", "x"));
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cases, setup, teardown),
		cmocka_unit_test(test_nothing_to_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
