// SPDX-License-Identifier: Apache-2.0
/* hardware.c on a made-up sysfs: devices, modules, who holds one; and hostile attributes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "driver-builder/hardware.h"
#include "file.h"

struct tree {
	char dir[64];
	struct arena *a;
};

static void put(const struct tree *t, const char *path, const char *text)
{
	char full[512], *slash;

	(void)snprintf(full, sizeof(full), "%s/%s", t->dir, path);
	slash = strrchr(full, '/');
	*slash = '\0';
	assert_int_equal(dir_make(full, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(full, text, strlen(text), 0644, NULL), 0);
}

static void link_to(const struct tree *t, const char *path, const char *target)
{
	char full[512], *slash;

	(void)snprintf(full, sizeof(full), "%s/%s", t->dir, path);
	slash = strrchr(full, '/');
	*slash = '\0';
	assert_int_equal(dir_make(full, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(symlink(target, full), 0);
}

static void add_device(const struct tree *t, const char *address, const char *vendor,
	const char *device, const char *numa)
{
	char path[256], target[256];

	(void)snprintf(path, sizeof(path), "devices/pci0000:10/%s/vendor", address);
	put(t, path, vendor);
	(void)snprintf(path, sizeof(path), "devices/pci0000:10/%s/device", address);
	put(t, path, device);
	(void)snprintf(path, sizeof(path), "devices/pci0000:10/%s/class", address);
	put(t, path, "0x120000\n");
	(void)snprintf(path, sizeof(path), "devices/pci0000:10/%s/numa_node", address);
	put(t, path, numa);
	(void)snprintf(path, sizeof(path), "bus/pci/devices/%s", address);
	(void)snprintf(target, sizeof(target), "../../../devices/pci0000:10/%s", address);
	link_to(t, path, target);
}

static int setup(void **state)
{
	static struct tree t;

	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/farrier-hardware-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	t.a = arena_new(8 << 20);
	assert_non_null(t.a);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct tree *t = *state;

	arena_free(t->a);
	return dir_remove(t->dir, NULL);
}

static void test_scan(void **state)
{
	struct tree *t = *state;
	const struct hardware_device *d;
	struct list devices, ids;

	add_device(t, "0000:10:02.0", "0x1234\n", "0x11E8\n", "1\n");
	add_device(t, "0000:10:01.0", "0x1234\n", "0x11e8\n", "-1\n");
	add_device(t, "0000:10:03.0", "0x10de\n", "0x2330\n", "junk\n");
	put(t, "module/edu/initstate", "live\n");
	put(t, "bus/pci/drivers/edu/bind", "");
	link_to(t, "bus/pci/drivers/edu/module", "../../../../module/edu");
	link_to(t, "devices/pci0000:10/0000:10:01.0/driver",
		"../../../bus/pci/drivers/edu");
	assert_int_equal(hardware_scan(t->a, t->dir, &devices, NULL), 0);
	assert_int_equal(devices.n, 3);
	d = devices.items;
	assert_string_equal(d[0].address, "0000:10:01.0");
	assert_string_equal(d[0].vendor, "1234");
	assert_string_equal(d[0].driver, "edu");
	assert_string_equal(d[0].driver_module, "edu");
	assert_string_equal(d[0].root, "pci0000:10");
	assert_int_equal(d[0].numa_node, -1);
	assert_string_equal(d[1].device, "11e8"); /* lower case */
	assert_string_equal(d[1].driver, "");
	assert_int_equal(d[1].numa_node, 1);
	assert_int_equal(d[2].numa_node, -1);
	assert_int_equal(hardware_ids(t->a, &devices, &ids), 0);
	assert_int_equal(ids.n, 2);
	assert_string_equal(((const char **)ids.items)[0], "pci:10de:2330");
	assert_string_equal(((const char **)ids.items)[1], "pci:1234:11e8");
}

static void test_hostile(void **state)
{
	static const char *const bad[] = { "", "0x\n", "0x12345\n", "1234\n", "0xzzzz\n",
		"0x12 4\n" };
	struct tree *t = *state;
	struct list devices;

	/* A machine without PCI has none. */
	assert_int_equal(hardware_scan(t->a, t->dir, &devices, NULL), 0);
	assert_int_equal(devices.n, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char address[32];

		(void)snprintf(address, sizeof(address), "0000:10:%02zx.0", i);
		add_device(t, address, bad[i], "0x0001\n", "0\n");
	}
	link_to(t, "bus/pci/devices/dangling", "../nowhere");
	add_device(t, "0000:10:1f.0", "0x0001\n", "0x0002\n", "0\n");
	assert_int_equal(hardware_scan(t->a, t->dir, &devices, NULL), 0);
	assert_int_equal(devices.n, 1);
}

static const struct {
	const char *name;
	struct api_device_match m;
	bool is_match;
} matches[] = {
	{ "anything on PCI", { .bus = API_BUS_PCI }, true },
	{ "another bus", { .bus = API_BUS_USB }, false },
	{ "vendor and device", { API_BUS_PCI, "1234", "11e8" }, true },
	{ "another device", { API_BUS_PCI, "1234", "11e9" }, false },
	{ "class prefix", { .bus = API_BUS_PCI, .class_code = "12" }, true },
	{ "another class", { .bus = API_BUS_PCI, .class_code = "03" }, false },
	{ "bound driver", { .bus = API_BUS_PCI, .driver = "edu" }, true },
	{ "another driver", { .bus = API_BUS_PCI, .driver = "nouveau" }, false },
	{ "subsystem ids",
		{ .bus = API_BUS_PCI, .subvendor = "1af4", .subdevice = "1100" }, true },
};

static void test_match(void **state)
{
	const struct hardware_device d = { .vendor = "1234",
		.device = "11e8",
		.subvendor = "1af4",
		.subdevice = "1100",
		.class_code = "120000",
		.driver = "edu" };

	for (size_t i = 0; i < ARRAY_SIZE(matches); i++)
		if (hardware_match(&matches[i].m, &d) != matches[i].is_match)
			fail_msg("case '%s'", matches[i].name);
}

static void test_module(void **state)
{
	struct tree *t = *state;
	struct hardware_module m;
	struct err e = { 0 };

	put(t, "module/snd_x/initstate", "live\n");
	put(t, "module/snd_x/srcversion", "ABC\n");
	put(t, "module/snd_x/refcnt", "3\n");
	put(t, "module/snd_x/holders/user/x", "");
	put(t, "module/builtin/parameters/x", "1\n");
	put(t, "module/leaving/initstate", "going\n");
	assert_int_equal(hardware_module(t->a, t->dir, "snd-x", &m, &e), 0);
	assert_true(m.is_loaded);
	assert_string_equal(m.srcversion, "ABC");
	assert_null(m.version);
	assert_int_equal(m.refcnt, 3);
	assert_int_equal(m.holders.n, 1);
	assert_int_equal(hardware_module(t->a, t->dir, "builtin", &m, &e), 0);
	assert_false(m.is_loaded);
	assert_int_equal(hardware_module(t->a, t->dir, "leaving", &m, &e), 0);
	assert_false(m.is_loaded);
	assert_int_equal(hardware_module(t->a, t->dir, "absent", &m, &e), 0);
	assert_false(m.is_loaded);
	assert_int_equal(hardware_module(t->a, t->dir, "../bus", &m, &e), -EINVAL);
	assert_int_equal(hardware_module(t->a, t->dir, "", &m, &e), -EINVAL);
	assert_int_equal(hardware_module(t->a, t->dir, "..", &m, &e), -EINVAL);
}

/* Our own process holds a character device open; the made-up sysfs gives it to a module. */
static void test_openers(void **state)
{
	struct tree *t = *state;
	int fd = open("/dev/full", O_RDONLY | O_CLOEXEC);
	struct list who;
	char own[64];

	if (fd < 0)
		skip();
	put(t, "devices/x/edu/edu0/dev", "1:7\n");
	put(t, "module/edu/initstate", "live\n");
	put(t, "bus/pci/drivers/edu/bind", "");
	link_to(t, "bus/pci/drivers/edu/module", "../../../../module/edu");
	link_to(t, "devices/x/driver", "../../bus/pci/drivers/edu");
	link_to(t, "devices/x/edu/edu0/device", "../../../x");
	link_to(t, "dev/char/1:7", "../../devices/x/edu/edu0");
	assert_int_equal(hardware_openers(t->a, t->dir, "/proc", "edu", &who), 0);
	(void)snprintf(own, sizeof(own), "(pid %d)", (int)getpid());
	assert_true(who.n >= 1);
	for (size_t i = 0; i < who.n; i++)
		if (strstr(((const char **)who.items)[i], own))
			own[0] = '\0';
	assert_string_equal(own, "");
	assert_int_equal(hardware_openers(t->a, t->dir, "/proc", "other", &who), 0);
	assert_int_equal(who.n, 0);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_scan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test(test_match),
		cmocka_unit_test_setup_teardown(test_module, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
