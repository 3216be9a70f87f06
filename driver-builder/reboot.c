// SPDX-License-Identifier: Apache-2.0
/* The reboot inside a wave: systemctl of the host, in the host's mount namespace. */
#include "reboot.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/wait.h>

#include "child.h"
#include "file.h"
#include "work.h"

#define TIMEOUT_US (120 * USEC_PER_SEC)
#define AGAIN_US \
	(300 * USEC_PER_SEC) /* after one that began: a shutdown takes its time */
#define RETRY_US (30 * USEC_PER_SEC)

struct reboot {
	struct loop *loop;
	struct reboot_options o;
	struct work *work;
	uint64_t not_before_us;
	bool is_held; /* said already */
	char mounts[PATH_MAX]; /* namespace of the host's init; "": ours is the host's */
};

int reboot_new(struct loop *l, const struct reboot_options *o, struct reboot **ret)
{
	CLEANUP(reboot_freep) struct reboot *r = calloc(1, sizeof(*r));
	int n;

	if (!r)
		return -ENOMEM;
	r->loop = l;
	r->o = *o;
	if (!o->command && !streq(o->env->root, "/")) {
		n = path_join(
			r->mounts, sizeof(r->mounts), o->env->proc, "1/ns/mnt", NULL);
		if (n < 0)
			return n;
	}
	*ret = TAKE(r);
	return 0;
}

void reboot_free(struct reboot *r)
{
	if (!r)
		return;
	work_cancel(r->work);
	free(r);
}

bool reboot_is_wanted(const struct api_node_upgrade *up, const char *boot_id)
{
	return up->present && up->state == API_UPGRADE_REBOOT &&
	       !str_empty(up->boot_id) && streq(up->boot_id, boot_id);
}

/* From here on, paths are the host's. In the worker. */
static int enter_host(const char *mounts, struct err *e)
{
	CLEANUP(closep) int fd = open(mounts, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0)
		return err_errno(e, -errno, "'%s'", mounts);
	return 0;
}

static int run(void *user, struct err *e)
{
	const struct reboot *r = user;
	CLEANUP(freep) char *out = NULL;
	const char *const host[] = { "systemctl", "reboot", NULL };
	const char *const own[] = { r->o.command, NULL };
	struct child_options o = {
		.argv = r->o.command ? own : host,
		.timeout_us = TIMEOUT_US,
	};
	int status = 0, n = *r->mounts ? enter_host(r->mounts, e) : 0;

	sync();
	if (n == 0)
		n = child_run(&o, &status, &out, e);
	if (n < 0)
		return n;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, -EIO, "'%s' failed: %.200s", o.argv[0], out ? out : "");
	return 0;
}

static void on_done(const struct err *result, void *user)
{
	struct reboot *r = user;

	r->work = NULL;
	r->not_before_us = loop_now(r->loop) + (result->code ? RETRY_US : AGAIN_US);
	if (result->code)
		r->o.say(false, result->text, r->o.user);
}

static void start(struct reboot *r)
{
	struct err e = { 0 };

	r->not_before_us = loop_now(r->loop) + RETRY_US;
	r->o.say(true, "the node is drained for a driver upgrade that needs a reboot",
		r->o.user);
	if (work_start(r->loop, run, on_done, r, 2 * TIMEOUT_US, &r->work, &e) < 0)
		r->o.say(false, e.text, r->o.user);
}

void reboot_look(struct reboot *r, const struct api_node_upgrade *up, const char *boot_id,
	const char *held)
{
	if (!reboot_is_wanted(up, boot_id)) {
		r->is_held = false;
		return;
	}
	if (r->work || loop_now(r->loop) < r->not_before_us)
		return;
	if (*held) {
		if (!r->is_held)
			r->o.say(false, held, r->o.user);
		r->is_held = true;
		return;
	}
	r->is_held = false;
	start(r);
}
