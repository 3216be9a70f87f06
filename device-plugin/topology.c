// SPDX-License-Identifier: Apache-2.0
/* Distances between devices. The choice among them is in topology_choose.c. */
#include "topology.h"

#include <ctype.h>
#include <stdio.h>

#include "file.h"

static void load_row(struct topology *t, size_t node, const char *line)
{
	const char *p = line;

	for (size_t i = 0; i < TOPOLOGY_NODES_MAX; i++) {
		unsigned v = 0;

		while (*p == ' ')
			p++;
		if (!isdigit((unsigned char)*p))
			return;
		for (; isdigit((unsigned char)*p) && v < 1000; p++)
			v = v * 10 + (unsigned)(*p - '0');
		t->slit[node][i] = v > 254 ? 254 : (uint8_t)v;
	}
}

void topology_load(struct topology *t, const char *sysfs)
{
	char path[512], line[TOPOLOGY_NODES_MAX * 5];

	*t = (struct topology){ 0 };
	for (size_t i = 0; i < TOPOLOGY_NODES_MAX; i++) {
		(void)snprintf(path, sizeof(path),
			"%s/devices/system/node/node%zu/distance", sysfs ? sysfs : "/sys",
			i);
		if (file_read_line(path, line, sizeof(line)) < 0)
			continue;
		load_row(t, i, line);
		t->n = i + 1;
	}
}

/* Length of the path up to the first bridge below the root, with its '/': those that share it share a
 * switch. "devices/pci0000:20/0000:20:01.0/…"; 0 for a device that is at the root itself. */
size_t topology_switch(const char *path)
{
	const char *p = strstr(path, "/pci");

	p = p ? strchr(p + 1, '/') : NULL;
	p = p ? strchr(p + 1, '/') : NULL;
	return p ? (size_t)(p - path) + 1 : 0;
}

static bool share_switch(const char *a, const char *b)
{
	size_t n = topology_switch(a);

	return n > 0 && strncmp(a, b, n) == 0;
}

unsigned topology_numa(const struct topology *t, int x, int y)
{
	if (x < 0 || y < 0)
		return TOPOLOGY_NUMA_UNKNOWN;
	if (x == y)
		return 0;
	if ((size_t)x >= t->n || (size_t)y >= t->n || !t->slit[x][y])
		return TOPOLOGY_NUMA_UNKNOWN;
	return t->slit[x][y];
}

unsigned topology_distance(const struct topology *t, const struct topology_point *a,
	const struct topology_point *b)
{
	unsigned d = streq(a->device, b->device) ? TOPOLOGY_SAME_DEVICE : 0;

	if (!str_empty(a->pcie_root) && streq(a->pcie_root, b->pcie_root))
		return d + (share_switch(a->path, b->path) ? TOPOLOGY_NEAR_SWITCH
							   : TOPOLOGY_NEAR_ROOT);
	return d + TOPOLOGY_FAR + topology_numa(t, a->numa_node, b->numa_node);
}
