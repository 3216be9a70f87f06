// SPDX-License-Identifier: Apache-2.0
/* Which gang a pod belongs to, by the marks of the schedulers and job controllers that know gangs. */
#pragma once

#include "arena.h"
#include "json.h"

/* "<namespace>/<mark>/<name>" of the first mark that the pod has, in @a; NULL: it is in no gang.
 * -ENOMEM. */
int gang_of(struct arena *a, const struct json *pod, const char **ret) _must_check_;

/* The path of the object that says how many pods the gang @key needs. -ENOENT: there is none for its kind;
 * -EINVAL when it is no key. */
int gang_object(struct buf *out, const char *key) _must_check_;
/* How many the object, or a pod of the gang, says that it needs; 0: it does not say. */
int64_t gang_min(const char *key, const struct json *object);
int64_t gang_min_of_pod(const struct json *pod);

/* The path that lists at least the pods of the gang @key, @page at a time. -EINVAL when it is no key. */
int gang_path(struct buf *out, const char *key, int page) _must_check_;
