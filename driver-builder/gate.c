// SPDX-License-Identifier: Apache-2.0
/* The reboot hold. */
#include "gate.h"

#include <limits.h>

#include "file.h"

enum { GATE_MAX = 64 << 10 };

static void add_line(const struct plan_pair *p, const char *kernel, const char *driver,
	enum api_kernel_state state, struct buf *out)
{
	const struct plan_failure *f = p->failure.reason != REASON_NONE ? &p->failure
									: &p->install;
	const char *reason = f->reason != REASON_NONE	    ? reason_name(f->reason)
			     : state == API_KERNEL_BUILDING ? "Building"
							    : "Pending";

	(void)buf_fmt(out, "%s %s %s ", kernel, driver, reason);
	/* One line each, whatever a compiler said. */
	for (const char *c = f->message ? f->message : "not ready yet"; *c; c++)
		(void)buf_chr(out, *c == '\n' ? ' ' : *c);
	(void)buf_chr(out, '\n');
}

/* A reboot by force then starts a kernel that works, or we say that it does not. */
static void say_keep(const struct seen *s, const struct plan *p, struct buf *out)
{
	const char *release = p->keep != SIZE_MAX ? s->in.kernels[p->keep].release : NULL;

	if (out->len == 0 || !release)
		return;
	if (s->in.kept && streq(s->in.kept, release))
		(void)buf_fmt(
			out, "%s - Kept a reboot by force starts this kernel\n", release);
	else
		(void)buf_fmt(out, "%s - NotKept %s\n", release,
			s->in.keep.message ? s->in.keep.message
					   : "the boot loader is not told yet");
}

int gate_text(const struct seen *s, const struct plan *p, struct buf *out)
{
	const struct api_node_driver *d = s->desired->drivers.items;

	for (size_t k = 0; k < s->in.n_kernels; k++) {
		if (!s->in.kernels[k].is_next)
			continue;
		for (size_t i = 0; i < s->in.n_drivers; i++) {
			enum api_kernel_state state = p->kernels[i * s->in.n_kernels + k];

			if (d[i].unload || d[i].spec.paused ||
				d[i].spec.on_unbuildable == API_UNBUILDABLE_WARN ||
				state == API_KERNEL_READY ||
				state == API_KERNEL_NOT_APPLICABLE)
				continue;
			add_line(&s->in.drivers[i].pairs[k], s->in.kernels[k].release,
				d[i].name, state, out);
		}
	}
	say_keep(s, p, out);
	return buf_ok(out);
}

static int gate_path(char out[PATH_MAX], const char *run)
{
	return path_join(out, PATH_MAX, run, "reboot-hold", NULL);
}

int gate_write(const char *run, const char *text, struct err *e)
{
	char path[PATH_MAX];
	int r = gate_path(path, run);

	if (r < 0)
		return err_errno(e, r, "reboot-hold");
	if (*text)
		return file_write_if_changed(path, text, strlen(text), 0644, e);
	if (unlink(path) == 0)
		return 1;
	return errno == ENOENT ? 0 : err_errno(e, -errno, "'%s'", path);
}

int gate_read(const char *run, char **ret, struct err *e)
{
	char path[PATH_MAX];
	size_t len;
	int r = gate_path(path, run);

	if (r == 0)
		r = file_read(path, GATE_MAX, ret, &len, e);
	if (r == -ENOENT) {
		err_clear(e);
		*ret = strdup("");
		r = *ret ? 0 : -ENOMEM;
	}
	return r < 0 ? err_wrap(e, r, "reboot-hold") : 0;
}
