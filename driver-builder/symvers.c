// SPDX-License-Identifier: Apache-2.0
/* Module.symvers in an open-addressed table over one copy of its text. */
#include "symvers.h"

#include <ctype.h>

#include "file.h"

struct symvers {
	char *text;
	struct symvers_entry *entries;
	uint32_t *slots; /* index + 1 into entries, 0: free */
	size_t n, mask;
};

static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261U;

	while (*s)
		h = (h ^ (unsigned char)*s++) * 16777619U;
	return h;
}

/* The field up to the next tab of the line that starts at *@p; ends it with a zero. */
static char *field(char **p)
{
	char *s = *p, *tab;

	if (!s)
		return NULL;
	tab = strchr(s, '\t');
	if (tab)
		*tab++ = '\0';
	*p = tab;
	return s;
}

static int parse_crc(const char *s, uint32_t *ret)
{
	char *end;
	unsigned long v;

	if (!str_starts(s, "0x") || !isxdigit((unsigned char)s[2]))
		return -EINVAL;
	errno = 0;
	v = strtoul(s, &end, 16);
	if (errno || *end || v > UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

/* Since 6.13 namespaces stand in quotes. */
static const char *unquote(char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n < 2 || s[0] != '"' || s[n - 1] != '"')
		return s ? s : "";
	s[n - 1] = '\0';
	return s + 1;
}

static int parse_line(char *line, struct symvers_entry *ret)
{
	char *p = line, *crc = field(&p), *name = field(&p), *module = field(&p);
	char *type = field(&p), *space = field(&p);

	if (!name || !*name || !module || !type)
		return -EINVAL;
	*ret = (struct symvers_entry){
		.name = name,
		.module = module,
		.space = unquote(space),
		.is_gpl = str_starts(type, "EXPORT_SYMBOL_GPL"),
	};
	return parse_crc(crc, &ret->crc);
}

/* The first one of a name stays. */
static void insert(struct symvers *s, uint32_t index)
{
	const char *name = s->entries[index].name;
	size_t i;

	for (i = hash(name) & s->mask; s->slots[i]; i = (i + 1) & s->mask)
		if (streq(s->entries[s->slots[i] - 1].name, name))
			return;
	s->slots[i] = index + 1;
}

static size_t count_lines(const char *text, size_t len)
{
	size_t n = 1, i;

	for (i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

static int parse_all(struct symvers *s, size_t len, struct err *e)
{
	char *p = s->text, *end = s->text + len, *nl;
	size_t line = 0;

	for (; p < end; p = nl + 1) {
		line++;
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			nl = end;
		*nl = '\0';
		if (nl == p)
			continue;
		if (strlen(p) != (size_t)(nl - p) || parse_line(p, &s->entries[s->n]) < 0)
			return err_set(e, -EINVAL, "line %zu: no symbol version", line);
		insert(s, (uint32_t)s->n++);
	}
	return 0;
}

int symvers_parse(const char *text, size_t len, struct symvers **ret, struct err *e)
{
	CLEANUP(symvers_freep) struct symvers *s = NULL;
	size_t lines, size = 64;
	int r;

	if (len > SYMVERS_BYTES_MAX ||
		(lines = count_lines(text, len)) > SYMVERS_LINES_MAX)
		return err_set(e, -EFBIG, "symbol versions: too many");
	while (size < lines * 2)
		size *= 2;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_errno(e, -ENOMEM, "symbol versions");
	s->text = malloc(len + 1);
	s->entries = calloc(lines, sizeof(*s->entries));
	s->slots = calloc(size, sizeof(*s->slots));
	s->mask = size - 1;
	if (!s->text || !s->entries || !s->slots)
		return err_errno(e, -ENOMEM, "symbol versions");
	if (len > 0)
		memcpy(s->text, text, len);
	s->text[len] = '\0';
	r = parse_all(s, len, e);
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

int symvers_read(const char *path, struct symvers **ret, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	size_t len = 0;
	int r = file_read(path, SYMVERS_BYTES_MAX, &text, &len, e);

	if (r < 0)
		return r;
	r = symvers_parse(text, len, ret, e);
	return r < 0 ? err_wrap(e, r, "'%s'", path) : 0;
}

void symvers_free(struct symvers *s)
{
	if (!s)
		return;
	free(s->text);
	free(s->entries);
	free(s->slots);
	free(s);
}

const struct symvers_entry *symvers_find(const struct symvers *s, const char *name)
{
	size_t i;

	for (i = hash(name) & s->mask; s->slots[i]; i = (i + 1) & s->mask) {
		const struct symvers_entry *x = &s->entries[s->slots[i] - 1];

		if (streq(x->name, name))
			return x;
	}
	return NULL;
}

size_t symvers_len(const struct symvers *s)
{
	return s->n;
}
