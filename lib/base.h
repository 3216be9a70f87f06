// SPDX-License-Identifier: Apache-2.0
/* What every file needs: attributes, cleanup, and the few macros without which C is longer. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _nonnull_(...) __attribute__((nonnull(__VA_ARGS__)))
#define _must_check_ __attribute__((warn_unused_result))
#define _printf_(f, a) __attribute__((format(printf, f, a)))
#define _unused_ __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL

/* Runs @f(&variable) when the variable leaves its scope. */
#define CLEANUP(f) __attribute__((cleanup(f)))

/* Hands over a pointer: the variable becomes NULL, its cleanup does nothing. */
#define TAKE(p) \
	({ \
		__typeof__(p) *take_p_ = &(p); \
		__typeof__(p) take_v_ = *take_p_; \
		*take_p_ = NULL; \
		take_v_; \
	})

/* The same for a file descriptor, which becomes -1. */
#define TAKE_FD(fd) \
	({ \
		int *take_p_ = &(fd); \
		int take_v_ = *take_p_; \
		*take_p_ = -1; \
		take_v_; \
	})

/* Defines a cleanup function @name##p for a type with free function @name. */
#define DEFINE_CLEANUP(type, name) \
	static inline _unused_ void name##p(type **p) \
	{ \
		if (*p) \
			name(*p); \
	}

static inline _unused_ void freep(void *p)
{
	free(*(void **)p);
}

/* Closes *@fd when it is open; keeps errno. */
static inline _unused_ void closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}

static inline _unused_ bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* NULL counts as "". */
static inline _unused_ bool str_empty(const char *s)
{
	return !s || !*s;
}

static inline _unused_ bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}
