// SPDX-License-Identifier: Apache-2.0
/* Reads a PCI device's first configuration word and its link's state. */
#include "pci_config.h"

#include <ctype.h>
#include <fcntl.h>

#include "file.h"

enum { LANES_MAX = 32, SPEED_MAX = 10000, LINE_MAX_ = 64, SYS_PATH_MAX = 1024 };

static bool read_text(const char *dir, const char *name, char *out, size_t size)
{
	char path[SYS_PATH_MAX];

	return path_join(path, sizeof(path), dir, name, NULL) == 0 &&
	       file_read_line(path, out, size) == 0;
}

static bool is_asleep(const char *dir)
{
	char power[LINE_MAX_];

	return read_text(dir, "power/runtime_status", power, sizeof(power)) &&
	       streq(power, "suspended");
}

bool pci_config_answers(const char *dir)
{
	CLEANUP(closep) int fd = -1;
	char path[SYS_PATH_MAX];
	uint32_t id = 0;

	if (is_asleep(dir) || path_join(path, sizeof(path), dir, "config", NULL) < 0)
		return true;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || pread(fd, &id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return true;
	return id != UINT32_MAX;
}

/* Digits at *@p, moved behind them; @max when there are more. */
static unsigned digits(const char **p, unsigned max)
{
	unsigned v = 0;

	for (; isdigit((unsigned char)**p); (*p)++)
		v = MIN(v * 10 + (unsigned)(**p - '0'), max);
	return v;
}

unsigned pci_link_speed(const char *text)
{
	const char *p = text;
	unsigned v = 10 * digits(&p, SPEED_MAX / 10);

	if (p == text)
		return 0;
	if (*p == '.' && isdigit((unsigned char)p[1])) {
		v += (unsigned)(p[1] - '0');
		for (p += 2; isdigit((unsigned char)*p); p++)
			;
	}
	return str_starts(p, " GT/s") && v < SPEED_MAX ? v : 0;
}

/* Lanes; 0 for none, for what no link has (a kernel says 255 for "unknown"), and for other texts. */
static unsigned read_width(const char *dir, const char *name)
{
	char line[LINE_MAX_];
	const char *p = line;
	unsigned v;

	if (!read_text(dir, name, line, sizeof(line)))
		return 0;
	v = digits(&p, 1000);
	return p == line || *p || v > LANES_MAX ? 0 : v;
}

static unsigned read_speed(const char *dir, const char *name)
{
	char line[LINE_MAX_];

	return read_text(dir, name, line, sizeof(line)) ? pci_link_speed(line) : 0;
}

/* The lesser of the two, 0 counting as no statement. */
static unsigned lesser(unsigned a, unsigned b)
{
	if (!a || !b)
		return a ? a : b;
	return MIN(a, b);
}

void pci_link_read(const char *dir, struct pci_link *ret)
{
	struct pci_link l = { 0 };
	char up[SYS_PATH_MAX], line[LINE_MAX_];
	char *slash;

	*ret = l;
	if (!read_text(dir, "current_link_width", line, sizeof(line)) || is_asleep(dir))
		return;
	l.width = read_width(dir, "current_link_width");
	l.speed = read_speed(dir, "current_link_speed");
	l.can_width = read_width(dir, "max_link_width");
	l.can_speed = read_speed(dir, "max_link_speed");
	if (!l.can_width)
		return;
	if (path_join(up, sizeof(up), dir, NULL) == 0 && (slash = strrchr(up, '/'))) {
		*slash = '\0';
		l.can_width = lesser(l.can_width, read_width(up, "max_link_width"));
		l.can_speed = lesser(l.can_speed, read_speed(up, "max_link_speed"));
	}
	l.is_known = true;
	*ret = l;
}
