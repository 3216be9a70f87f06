// SPDX-License-Identifier: Apache-2.0
/* The content key of a build, as docs/interfaces.md defines it. */
#include "key.h"

#include <limits.h>
#include <stdio.h>

#include "file.h"

static const char format_tag[] = "farrier-key-1";

int key_headers(const struct kernel *k, char ret[DIGEST_HEX + 1], struct err *e)
{
	static const char *const files[] = { "Module.symvers", ".config" };
	CLEANUP(digest_freep) struct digest *d = NULL;
	size_t i;
	int r = digest_new(&d);

	if (!k->headers)
		return err_reason(e, -ENOENT, REASON_HEADERS_MISSING, "kernel '%s': %s",
			k->release, k->missing ? k->missing : "no headers");
	for (i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		char path[PATH_MAX], hex[DIGEST_HEX + 1];

		r = path_join(path, sizeof(path), k->headers, files[i], NULL);
		/* Some distributions ship no .config; then auto.conf speaks for it. */
		if (r == 0 && i == 1 && !file_exists(path))
			r = path_join(path, sizeof(path), k->headers,
				"include/config/auto.conf", NULL);
		if (r == 0)
			r = digest_file(path, hex, e);
		if (r == 0)
			r = digest_add_str(d, hex);
	}
	if (r == 0)
		r = digest_hex(d, ret);
	return r < 0 ? err_reason(e, r, REASON_HEADERS_MISSING,
			       "kernel '%s': headers cannot be read: %s", k->release,
			       strerror(-r))
		     : 0;
}

/* A list is its length and its elements, so that two lists cannot be mistaken for one. */
static int add_list(struct digest *d, const struct list *l)
{
	const char *const *items = l ? l->items : NULL;
	size_t i, n = l ? l->n : 0;
	char count[24];
	int r;

	(void)snprintf(count, sizeof(count), "%zu", n);
	r = digest_add_str(d, count);
	for (i = 0; r == 0 && i < n; i++)
		r = digest_add_str(d, items[i]);
	return r;
}

int key_make(const struct key_input *in, char ret[DIGEST_HEX + 1], struct err *e)
{
	const char *const parts[] = { format_tag, in->source_digest, in->release,
		in->headers_digest, in->compiler, in->build_system };
	CLEANUP(digest_freep) struct digest *d = NULL;
	size_t i;
	int r = digest_new(&d);

	for (i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = digest_add_str(d, parts[i]);
	if (r == 0)
		r = add_list(d, in->make_args);
	if (r == 0)
		r = add_list(d, in->patches);
	if (r == 0)
		r = digest_hex(d, ret);
	return r < 0 ? err_errno(e, r, "content key") : 0;
}

bool key_is_valid(const char *s)
{
	return strlen(s) == DIGEST_HEX && strspn(s, "0123456789abcdef") == DIGEST_HEX;
}
