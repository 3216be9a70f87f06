// SPDX-License-Identifier: Apache-2.0
/* Preloaded into the plugin: a libc whose calls go as the environment says.
 *     FAULT_BOOT=1       the machine has booted five seconds ago
 *     FAULT_INOTIFY=1    there is no inotify to be had
 *     FAULT_LOOKS=FILE   a byte is added to FILE for each lstat() of a kubelet.sock
 *     FAULT_MALLOC=N     every Nth allocation fails, from the first look at the options on
 *     FAULT_ONCE=1       only the Nth does */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REAL(f) \
	static __typeof__(f) *real; \
	if (!real) \
	real = (__typeof__(real))dlsym(RTLD_NEXT, #f)

int clock_gettime(clockid_t id, struct timespec *t)
{
	REAL(clock_gettime);
	if (id == CLOCK_BOOTTIME && getenv("FAULT_BOOT")) {
		*t = (struct timespec){ .tv_sec = 5 };
		return 0;
	}
	return real(id, t);
}

int inotify_init1(int flags)
{
	REAL(inotify_init1);
	if (!getenv("FAULT_INOTIFY"))
		return real(flags);
	errno = EMFILE;
	return -1;
}

int lstat(const char *path, struct stat *st)
{
	const char *looks = getenv("FAULT_LOOKS"), *slash = strrchr(path, '/');

	REAL(lstat);
	if (looks && slash && strcmp(slash, "/kubelet.sock") == 0) {
		int fd = open(looks, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		if (fd >= 0) {
			(void)!write(fd, ".", 1);
			(void)close(fd);
		}
	}
	return real(path, st);
}

/* ---- memory: with ASan, that is ASan's ---- */
#ifndef WITH_ASAN
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static unsigned long every, count;
static int is_once, is_paused;

int getopt_long(
	int argc, char *const *argv, const char *s, const struct option *o, int *i)
{
	const char *n = getenv("FAULT_MALLOC");

	REAL(getopt_long);
	is_once = getenv("FAULT_ONCE") != NULL;
	if (n && !every)
		every = strtoul(n, NULL, 10);
	return real(argc, argv, s, o, i);
}

/* glibc 2.36 frees twice in there when memory is short; that is not ours to test. */
int regcomp(regex_t *re, const char *pattern, int flags)
{
	int r;

	REAL(regcomp);
	is_paused = 1;
	r = real(re, pattern, flags);
	is_paused = 0;
	return r;
}

static int fails(void)
{
	if (!every || is_paused || ++count % every || (is_once && count != every))
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
#endif
