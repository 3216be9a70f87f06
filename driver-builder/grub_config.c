// SPDX-License-Identifier: Apache-2.0
/* Reads grub.cfg and grubenv, as texts. Of grub.cfg only what grub-mkconfig writes is understood: blocks
 * that open and close at the ends of lines. */
#include "grub.h"

#include <stdio.h>

enum { NAME_MAX_ = 256, LINE_MAX_ = 4096 };

struct block {
	bool is_menu, is_entry;
	char name[NAME_MAX_]; /* identifier, else title */
	char title[NAME_MAX_];
};

struct parser {
	const char *release;
	struct block stack[GRUB_DEPTH_MAX];
	size_t depth;
	char *out;
	bool is_found;
};

/* The word at @p, quotes taken off; what follows it. NULL when it does not fit. */
static const char *word(const char *p, char out[NAME_MAX_])
{
	char quote = *p == '\'' || *p == '"' ? *p : 0;
	size_t n;

	p += quote != 0;
	n = quote ? strcspn(p, quote == '"' ? "\"" : "'") : strcspn(p, " \t{");
	if (n >= NAME_MAX_)
		return NULL;
	memcpy(out, p, n);
	out[n] = '\0';
	p += n;
	return p + (quote && *p == quote);
}

static const char *const id_marks[] = { "$menuentry_id_option ", "--id ", "--id=" };

static void name_block(struct block *b, const char *line)
{
	const char *p = line + strcspn(line, " \t");

	p += strspn(p, " \t");
	if (!word(p, b->title))
		b->title[0] = '\0';
	memcpy(b->name, b->title, sizeof(b->name));
	for (size_t i = 0; i < ARRAY_SIZE(id_marks); i++) {
		const char *id = strstr(line, id_marks[i]);
		char name[NAME_MAX_];

		if (!id)
			continue;
		id += strlen(id_marks[i]);
		if (word(id + strspn(id, " \t"), name) && *name)
			memcpy(b->name, name, sizeof(b->name));
		return;
	}
}

static bool is_word(const char *line, const char *name)
{
	size_t n = strlen(name);

	return strncmp(line, name, n) == 0 && (line[n] == ' ' || line[n] == '\t');
}

static void open_block(struct parser *p, const char *line)
{
	struct block *b;

	p->depth++;
	if (p->depth > GRUB_DEPTH_MAX)
		return;
	b = &p->stack[p->depth - 1];
	*b = (struct block){ .is_menu = is_word(line, "submenu"),
		.is_entry = is_word(line, "menuentry") };
	if (b->is_menu || b->is_entry)
		name_block(b, line);
}

/* "linux /boot/vmlinuz-R root=…": is it our kernel, and no recovery? */
static bool starts_it(const char *line, const char *release)
{
	static const char *const verbs[] = { "linux", "linux16", "linuxefi" };
	const char *file, *end, *base;
	size_t i, n = strlen(release);

	for (i = 0; i < ARRAY_SIZE(verbs) && !is_word(line, verbs[i]); i++)
		;
	if (i == ARRAY_SIZE(verbs))
		return false;
	file = line + strcspn(line, " \t");
	file += strspn(file, " \t");
	end = file + strcspn(file, " \t");
	for (base = end; base > file && base[-1] != '/'; base--)
		;
	if ((size_t)(end - base) <= n || strncmp(end - n, release, n) != 0 ||
		end[-(ptrdiff_t)n - 1] != '-')
		return false;
	return !strstr(end, " single") && !strstr(end, " recovery");
}

/* The names from the outermost menu to the entry, if they can be told to GRUB. */
static void tell(struct parser *p)
{
	const struct block *entry = &p->stack[p->depth - 1];
	char path[GRUB_ENTRY_MAX] = "";
	size_t n = 0;

	if (!strstr(entry->name, p->release) && !strstr(entry->title, p->release))
		return; /* the entry of whichever kernel is the newest */
	for (size_t i = 0; i < p->depth; i++) {
		const struct block *b = &p->stack[i];

		if (!b->is_menu && !b->is_entry)
			continue;
		/* '>' parts menus from entries. */
		if (!*b->name || strchr(b->name, '>') ||
			n + strlen(b->name) + 2 > sizeof(path))
			return;
		n += (size_t)snprintf(
			path + n, sizeof(path) - n, "%s%s", n ? ">" : "", b->name);
	}
	memcpy(p->out, path, sizeof(path));
	p->is_found = true;
}

static void see_line(struct parser *p, const char *line)
{
	size_t n = strlen(line);

	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	if (n == 0 || *line == '#')
		return;
	if (line[n - 1] == '{') {
		open_block(p, line);
	} else if (streq(line, "}") || is_word(line, "}")) {
		p->depth -= p->depth > 0;
	} else if (p->depth > 0 && p->depth <= GRUB_DEPTH_MAX &&
		   p->stack[p->depth - 1].is_entry && starts_it(line, p->release)) {
		tell(p);
	}
}

int grub_find_entry(const char *config, const char *release, char out[GRUB_ENTRY_MAX])
{
	char path[GRUB_ENTRY_MAX] = "";
	struct parser p = { .release = release, .out = path };

	for (const char *line = config; *line && *release && !p.is_found;) {
		const char *end = strchrnul(line, '\n');
		char text[LINE_MAX_];

		line += strspn(line, " \t");
		/* A line that long is none that we look for, but it may open a block. */
		if (line < end && end - line < (ptrdiff_t)sizeof(text)) {
			memcpy(text, line, (size_t)(end - line));
			text[end - line] = '\0';
			see_line(&p, text);
		} else if (line < end && end[-1] == '{') {
			p.depth++;
		}
		line = *end ? end + 1 : end;
	}
	if (!p.is_found)
		return -ENOENT;
	memcpy(out, path, sizeof(path));
	return 0;
}

const char *grub_variable(const char *config)
{
	if (!strstr(config, "load_env"))
		return NULL;
	if (strstr(config, "set default=\"${saved_entry}\""))
		return "saved_entry";
	return strstr(config, "set default=\"${next_entry}\"") ? "next_entry" : NULL;
}

void grub_env_value(const char *text, const char *key, char out[GRUB_ENTRY_MAX])
{
	size_t n = strlen(key);

	*out = '\0';
	for (const char *line = text; *line;) {
		const char *end = strchrnul(line, '\n');

		if (strncmp(line, key, n) == 0 && line[n] == '=' &&
			end - line - (ptrdiff_t)n - 1 < GRUB_ENTRY_MAX) {
			(void)snprintf(out, GRUB_ENTRY_MAX, "%.*s",
				(int)(end - line - (ptrdiff_t)n - 1), line + n + 1);
			return;
		}
		line = *end ? end + 1 : end;
	}
}
