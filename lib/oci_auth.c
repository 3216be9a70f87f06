// SPDX-License-Identifier: Apache-2.0
/* Challenges, credentials and tokens of registries. */
#include "oci_auth.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "json.h"

/* ---- challenges ---- */

/* One key="value" or key=value at @p; returns what follows, NULL when it is none. */
static const char *read_param(
	const char *p, char *key, size_t key_size, char *value, size_t value_size)
{
	size_t n = strcspn(p, "= ,"), k = 0;

	if (n == 0 || n >= key_size || p[n] != '=')
		return NULL;
	memcpy(key, p, n);
	key[n] = '\0';
	p += n + 1;
	if (*p != '"') {
		n = strcspn(p, ", ");
		if (n >= value_size)
			return NULL;
		memcpy(value, p, n);
		value[n] = '\0';
		return p + n;
	}
	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		if (k + 1 >= value_size)
			return NULL;
		value[k++] = *p;
	}
	value[k] = '\0';
	return *p == '"' ? p + 1 : NULL;
}

int oci_challenge_parse(const char *header, struct oci_challenge *ret)
{
	struct oci_challenge c = { 0 };
	char key[64], value[1024];
	const char *p;

	if (strncasecmp(header, "Basic", 5) == 0 && (!header[5] || header[5] == ' ')) {
		*ret = c;
		return 0;
	}
	if (strncasecmp(header, "Bearer ", 7) != 0)
		return -EINVAL;
	for (p = header + 7; *(p += strspn(p, " ,"));) {
		p = read_param(p, key, sizeof(key), value, sizeof(value));
		if (!p)
			return -EINVAL;
		if (strcasecmp(key, "realm") == 0)
			(void)snprintf(c.realm, sizeof(c.realm), "%s", value);
		else if (strcasecmp(key, "service") == 0 &&
			 strlen(value) < sizeof(c.service))
			memcpy(c.service, value, strlen(value) + 1);
		else if (strcasecmp(key, "scope") == 0 && strlen(value) < sizeof(c.scope))
			memcpy(c.scope, value, strlen(value) + 1);
	}
	c.is_bearer = true;
	if (!str_starts(c.realm, "https://") && !str_starts(c.realm, "http://"))
		return -EINVAL;
	*ret = c;
	return 0;
}

/* ---- credentials ---- */

static int base64(const char *in, char **ret)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)in;
	size_t n = strlen(in), k = 0, i;
	char *out = malloc(n / 3 * 4 + 5);

	if (!out)
		return -ENOMEM;
	for (i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16;

		v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
		v |= i + 2 < n ? p[i + 2] : 0;
		out[k++] = digits[v >> 18];
		out[k++] = digits[v >> 12 & 63];
		out[k++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
		out[k++] = i + 2 < n ? digits[v & 63] : '=';
	}
	out[k] = '\0';
	*ret = out;
	return 0;
}

/* How much of "host/repository" the name @key of an entry covers; 0: it is of something else. */
static size_t covers(const char *key, const struct oci_ref *ref)
{
	char name[512];
	size_t n;

	key += str_starts(key, "https://") ? 8 : str_starts(key, "http://") ? 7 : 0;
	/* Docker's own name for its registry. */
	if (str_starts(key, "index.docker.io") || streq(key, "docker.io"))
		return streq(ref->host, "registry-1.docker.io") ? 1 : 0;
	n = strcspn(key, "/");
	/* "https://host/v1/" and the like are of the whole host. */
	if (key[n] &&
		(streq(key + n, "/") || streq(key + n, "/v1/") || streq(key + n, "/v2/")))
		return strlen(ref->host) == n && strncmp(key, ref->host, n) == 0 ? n : 0;
	(void)snprintf(name, sizeof(name), "%s/%s", ref->host, ref->repo);
	n = strlen(key);
	return n > 0 && strncmp(name, key, n) == 0 && (!name[n] || name[n] == '/') ? n
										   : 0;
}

static bool is_base64(const char *s)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("+/=", *s))
			return false;
	return true;
}

static int entry_auth(const struct json *entry, char **ret, struct err *e)
{
	const char *auth = json_get_str(entry, "auth"),
		   *user = json_get_str(entry, "username"),
		   *password = json_get_str(entry, "password");
	CLEANUP(freep) char *both = NULL;
	int r;

	if (!str_empty(auth)) {
		if (!is_base64(auth))
			return err_set(e, -EINVAL, "'auth' is not base64");
		*ret = strdup(auth);
		return *ret ? 0 : err_errno(e, -ENOMEM, "credentials");
	}
	if (str_empty(user) || !password)
		return -ENOENT;
	if (asprintf(&both, "%s:%s", user, password) < 0) {
		both = NULL;
		return err_errno(e, -ENOMEM, "credentials");
	}
	r = base64(both, ret);
	return r < 0 ? err_errno(e, r, "credentials") : 0;
}

int oci_auth_find(const char *text, size_t len, const struct oci_ref *ref, char **ret,
	struct err *e)
{
	CLEANUP(json_freep) struct json *j = NULL;
	const struct json *entry, *best = NULL;
	size_t it = 0, best_n = 0;
	const char *key;
	int r = json_parse(text, len, &j, NULL);

	/* No text of the parser's: it might show a part of a secret. */
	if (r < 0)
		return err_set(e, r, "no JSON");
	while (json_next(json_get(j, "auths"), &it, &key, &entry)) {
		size_t n = covers(key, ref);

		if (n > best_n) {
			best = entry;
			best_n = n;
		}
	}
	return best ? entry_auth(best, ret, e) : -ENOENT;
}

/* ---- tokens ---- */

static void escape(struct buf *out, const char *s)
{
	for (; *s; s++)
		if (isalnum((unsigned char)*s) || strchr("-_.~", *s))
			(void)buf_chr(out, *s);
		else
			(void)buf_fmt(out, "%%%02X", (unsigned char)*s);
}

int oci_token_url(const struct oci_challenge *c, const char *scope, struct buf *out)
{
	(void)buf_str(out, c->realm);
	(void)buf_str(out, strchr(c->realm, '?') ? "&" : "?");
	if (*c->service) {
		(void)buf_str(out, "service=");
		escape(out, c->service);
		(void)buf_chr(out, '&');
	}
	(void)buf_str(out, "scope=");
	escape(out, scope);
	return buf_ok(out);
}

int oci_token_parse(const char *text, size_t len, char **ret, struct err *e)
{
	CLEANUP(json_freep) struct json *j = NULL;
	const char *token, *p;
	int r = json_parse(text, len, &j, NULL);

	token = r < 0 ? NULL : json_get_str(j, "token");
	if (r == 0 && str_empty(token))
		token = json_get_str(j, "access_token");
	if (str_empty(token) || strlen(token) > OCI_TOKEN_MAX)
		return err_set(e, -EBADMSG, "the token server gave no token");
	for (p = token; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(e, -EBADMSG, "the token server gave no token");
	*ret = strdup(token);
	return *ret ? 0 : err_errno(e, -ENOMEM, "token");
}
