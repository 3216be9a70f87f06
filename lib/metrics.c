// SPDX-License-Identifier: Apache-2.0
/* Prometheus series and their text exposition, version 0.0.4. */
#include "metrics.h"

#include <math.h>
#include <stdio.h>

#include "map.h"

enum { METRICS_SERIES_MAX = 10000, LABELS_MAX = 2048 };

struct family {
	enum metric_type type;
	char *help;
	struct map *series; /* label text -> double * */
};

struct metrics {
	struct map *families; /* name -> struct family * */
	size_t n_series;
};

static void family_free(void *p)
{
	struct family *f = p;

	if (!f)
		return;
	free(f->help);
	map_free(f->series);
	free(f);
}

int metrics_new(struct metrics **ret)
{
	CLEANUP(metrics_freep) struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->families = map_new(family_free);
	if (!m->families)
		return -ENOMEM;
	*ret = TAKE(m);
	return 0;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	map_free(m->families);
	free(m);
}

static bool is_name(const char *s)
{
	const char *first =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";

	return *s && (*s < '0' || *s > '9') && !s[strspn(s, first)];
}

/* Labels come ready-made: they must at least not be able to start a line of their own. */
static bool is_labels(const char *s)
{
	return strlen(s) <= LABELS_MAX && !strpbrk(s, "\n\r");
}

static struct family *family_get(
	struct metrics *m, enum metric_type t, const char *name, const char *help)
{
	struct family *f = map_get(m->families, name);

	if (f)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->type = t;
	f->help = strdup(help ? help : "");
	f->series = map_new(free);
	if (!f->help || !f->series) {
		family_free(f);
		return NULL;
	}
	return map_set(m->families, name, f) < 0 ? NULL : f;
}

static int series_get(struct metrics *m, enum metric_type t, const char *name,
	const char *labels, const char *help, double **ret)
{
	struct family *f;
	double *v;
	int r;

	labels = labels ? labels : "";
	if (!is_name(name) || !is_labels(labels))
		return -EINVAL;
	f = family_get(m, t, name, help);
	if (!f)
		return -ENOMEM;
	if (f->type != t)
		return -EINVAL;
	v = map_get(f->series, labels);
	if (!v) {
		if (m->n_series == METRICS_SERIES_MAX)
			return -E2BIG;
		v = calloc(1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		r = map_set(f->series, labels, v);
		if (r < 0)
			return r;
		m->n_series++;
	}
	*ret = v;
	return 0;
}

int metrics_set(struct metrics *m, enum metric_type t, const char *name,
	const char *labels, const char *help, double v)
{
	double *p;
	int r = series_get(m, t, name, labels, help, &p);

	if (r < 0)
		return r;
	*p = v;
	return 0;
}

int metrics_add(struct metrics *m, enum metric_type t, const char *name,
	const char *labels, const char *help, double v)
{
	double *p;
	int r;

	if (t == METRIC_COUNTER && !(v >= 0))
		return -EINVAL;
	r = series_get(m, t, name, labels, help, &p);
	if (r < 0)
		return r;
	*p += v;
	return 0;
}

void metrics_clear(struct metrics *m, const char *name)
{
	struct family *f = map_get(m->families, name);

	if (!f)
		return;
	m->n_series -= map_len(f->series);
	(void)map_del(m->families, name);
}

static int escaped(struct buf *b, const char *s, bool with_quotes)
{
	for (; *s; s++) {
		if (*s == '\\')
			(void)buf_str(b, "\\\\");
		else if (*s == '\n')
			(void)buf_str(b, "\\n");
		else if (*s == '"' && with_quotes)
			(void)buf_str(b, "\\\"");
		else
			(void)buf_chr(b, *s == '\r' ? ' ' : *s);
	}
	return buf_ok(b);
}

int metrics_label(struct buf *b, const char *key, const char *value)
{
	if (!is_name(key) || strchr(key, ':'))
		return -EINVAL;
	(void)buf_fmt(b, "%s%s=\"", b->len ? "," : "", key);
	(void)escaped(b, value ? value : "", true);
	return buf_chr(b, '"');
}

static void print_value(struct buf *out, double v)
{
	char text[40];

	if (isnan(v)) {
		(void)buf_str(out, "NaN");
	} else if (isinf(v)) {
		(void)buf_str(out, v > 0 ? "+Inf" : "-Inf");
	} else {
		(void)snprintf(text, sizeof(text), "%.15g", v);
		if (strtod(text, NULL) != v)
			(void)snprintf(text, sizeof(text), "%.17g", v);
		(void)buf_str(out, text);
	}
}

int metrics_print(const struct metrics *m, struct buf *out)
{
	static const char *const types[] = { "counter", "gauge" };
	const char *name, *labels;
	size_t it = 0;
	void *p, *v;

	while (map_next(m->families, &it, &name, &p)) {
		const struct family *f = p;
		size_t at = 0;

		(void)buf_fmt(out, "# HELP %s ", name);
		(void)escaped(out, f->help, false);
		(void)buf_fmt(out, "\n# TYPE %s %s\n", name, types[f->type]);
		while (map_next(f->series, &at, &labels, &v)) {
			if (*labels)
				(void)buf_fmt(out, "%s{%s} ", name, labels);
			else
				(void)buf_fmt(out, "%s ", name);
			print_value(out, *(const double *)v);
			(void)buf_chr(out, '\n');
		}
	}
	return buf_ok(out);
}
