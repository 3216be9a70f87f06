// SPDX-License-Identifier: Apache-2.0
/* Reads the service account of a pod, or a kubeconfig. What we cannot do safely is refused by name. */
#include "kube_config.h"

#include <limits.h>
#include <stdio.h>

#include "file.h"
#include "yaml.h"

#define MOUNT "/var/run/secrets/kubernetes.io/serviceaccount"
enum { NAMESPACE_MAX = 253, PEM_MAX = 256 << 10 };

void kube_config_done(struct kube_config *c)
{
	free(c->server);
	free(c->namespace_);
	free(c->token);
	free(c->token_file);
	free(c->ca_file);
	free(c->cert_file);
	free(c->key_file);
	free(c->ca_data);
	free(c->cert_data);
	free(c->key_data);
	*c = (struct kube_config){ 0 };
}

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

static int join(char **ret, const char *dir, const char *name, struct err *e)
{
	if (asprintf(ret, "%s/%s", dir, name) < 0) {
		*ret = NULL;
		return no_memory(e);
	}
	return 0;
}

int kube_config_in_cluster(struct kube_config *ret, const char *mount, struct err *e)
{
	CLEANUP(kube_config_done) struct kube_config c = { 0 };
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	CLEANUP(freep) char *path = NULL;
	char ns[NAMESPACE_MAX + 1];
	bool is_v6;
	int r;

	if (str_empty(host) || str_empty(port))
		return err_set(e, -ENOENT, "not in a cluster, and no kubeconfig given");
	is_v6 = strchr(host, ':') && *host != '[';
	if (asprintf(&c.server, is_v6 ? "https://[%s]:%s" : "https://%s:%s", host, port) <
		0) {
		c.server = NULL;
		return no_memory(e);
	}
	mount = mount ? mount : MOUNT;
	r = join(&c.token_file, mount, "token", e);
	if (r == 0)
		r = join(&c.ca_file, mount, "ca.crt", e);
	if (r == 0)
		r = join(&path, mount, "namespace", e);
	if (r < 0)
		return r;
	if (!file_exists(c.ca_file))
		return err_set(e, -ENOENT, "'%s' is missing", c.ca_file);
	if (file_read_line(path, ns, sizeof(ns)) == 0 && *ns) {
		c.namespace_ = strdup(ns);
		if (!c.namespace_)
			return no_memory(e);
	}
	*ret = c;
	c = (struct kube_config){ 0 };
	return 0;
}

/* ---- kubeconfig ---- */

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Standard base64 with padding; white space between is fine. The result is text: no zero byte. */
static int base64_text(const char *in, char **ret)
{
	CLEANUP(freep) char *out = NULL;
	size_t n = 0, digits = 0, pads = 0;
	uint32_t acc = 0;

	if (strlen(in) > PEM_MAX)
		return -EFBIG;
	out = malloc(strlen(in) / 4 * 3 + 4);
	if (!out)
		return -ENOMEM;
	for (; *in; in++) {
		int d = base64_digit(*in);

		if (strchr(" \t\r\n", *in))
			continue;
		if (*in == '=') {
			pads++;
			continue;
		}
		if (d < 0 || pads)
			return -EINVAL;
		acc = acc << 6 | (uint32_t)d;
		if (++digits % 4 == 0) {
			out[n++] = (char)(acc >> 16);
			out[n++] = (char)(acc >> 8);
			out[n++] = (char)acc;
		}
	}
	if ((digits + pads) % 4 || pads > 2 || digits % 4 == 1)
		return -EINVAL;
	if (digits % 4 >= 2)
		out[n++] = (char)(digits % 4 == 2 ? acc >> 4 : acc >> 10);
	if (digits % 4 == 3)
		out[n++] = (char)(acc >> 2);
	out[n] = '\0';
	if (strlen(out) != n)
		return -EINVAL;
	*ret = TAKE(out);
	return 0;
}

/* The object called @name in the list @list of {name, @what: {…}}. */
static int find_named(const struct json *root, const char *list, const char *what,
	const char *name, const struct json **ret, struct err *e)
{
	const struct json *arr = json_get(root, list);

	for (size_t i = 0; i < json_len(arr); i++) {
		const struct json *item = json_at(arr, i);
		const char *s = json_get_str(item, "name");

		if (!s || !streq(s, name))
			continue;
		*ret = json_get(item, what);
		if (json_type(*ret) != JSON_OBJECT)
			return err_set(e, -EINVAL, "%s '%s': no '%s'", list, name, what);
		return 0;
	}
	return err_set(e, -EINVAL, "no '%s' in '%s'", name, list);
}

/* Copies the text at @key, if there is one. */
static int take_str(char **ret, const struct json *obj, const char *key, struct err *e)
{
	const struct json *v = json_get(obj, key);

	if (!v)
		return 0;
	if (!json_str(v))
		return err_set(e, -EINVAL, "'%s': not a string", key);
	if (!*json_str(v))
		return 0;
	*ret = strdup(json_str(v));
	return *ret ? 0 : no_memory(e);
}

static int take_path(char **ret, const struct json *obj, const char *key, const char *dir,
	struct err *e)
{
	CLEANUP(freep) char *s = NULL;
	int r = take_str(&s, obj, key, e);

	if (r < 0 || !s)
		return r;
	if (*s != '/')
		return join(ret, dir, s, e);
	*ret = TAKE(s);
	return 0;
}

/* `<key>-data` wins over the file at <key>, as everywhere. */
static int take_pem(char **ret_file, char **ret_data, const struct json *obj,
	const char *key, const char *dir, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	char data_key[64];
	int r;

	(void)snprintf(data_key, sizeof(data_key), "%s-data", key);
	r = take_str(&text, obj, data_key, e);
	if (r < 0)
		return r;
	if (!text)
		return take_path(ret_file, obj, key, dir, e);
	r = base64_text(text, ret_data);
	return r < 0 ? err_errno(e, r, "'%s'", data_key) : 0;
}

static int refuse(const struct json *obj, const char *const *keys, struct err *e)
{
	for (; *keys; keys++) {
		const struct json *v = json_get(obj, *keys);
		bool is_on = true;

		if (!v || (json_bool(v, &is_on) == 0 && !is_on))
			continue;
		return err_set(e, -EOPNOTSUPP, "'%s' is not supported", *keys);
	}
	return 0;
}

static int read_cluster(
	struct kube_config *c, const struct json *cluster, const char *dir, struct err *e)
{
	static const char *const refused[] = { "insecure-skip-tls-verify", "proxy-url",
		"tls-server-name", NULL };
	size_t n;
	int r = refuse(cluster, refused, e);

	if (r == 0)
		r = take_str(&c->server, cluster, "server", e);
	if (r == 0)
		r = take_pem(&c->ca_file, &c->ca_data, cluster, "certificate-authority",
			dir, e);
	if (r < 0)
		return r;
	if (!c->server)
		return err_set(e, -EINVAL, "no 'server'");
	for (n = strlen(c->server); n && c->server[n - 1] == '/'; n--)
		c->server[n - 1] = '\0';
	if (!str_starts(c->server, "https://") && !str_starts(c->server, "http://"))
		return err_set(e, -EINVAL, "'server': not a https:// address");
	return 0;
}

static int read_user(
	struct kube_config *c, const struct json *user, const char *dir, struct err *e)
{
	static const char *const refused[] = { "exec", "auth-provider", "username",
		"password", "as", NULL };
	int r = refuse(user, refused, e);

	if (r == 0)
		r = take_path(&c->token_file, user, "tokenFile", dir, e);
	if (r == 0 && !c->token_file)
		r = take_str(&c->token, user, "token", e);
	if (r == 0)
		r = take_pem(
			&c->cert_file, &c->cert_data, user, "client-certificate", dir, e);
	if (r == 0)
		r = take_pem(&c->key_file, &c->key_data, user, "client-key", dir, e);
	if (r < 0)
		return r;
	if (!(c->cert_file || c->cert_data) != !(c->key_file || c->key_data))
		return err_set(e, -EINVAL, "a client certificate needs its key");
	return 0;
}

static bool is_plain_and_far(const char *server)
{
	static const char *const near[] = { "http://127.0.0.1", "http://localhost",
		"http://[::1]" };

	if (str_starts(server, "https://"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(near); i++) {
		char behind = str_starts(server, near[i]) ? server[strlen(near[i])] : 'x';

		if (behind == '\0' || behind == ':' || behind == '/')
			return false;
	}
	return true;
}

static int read_context(
	struct kube_config *c, const struct json *root, const char *dir, struct err *e)
{
	const char *name = json_get_str(root, "current-context");
	const struct json *context, *cluster, *user;
	int r;

	if (str_empty(name))
		return err_set(e, -EINVAL, "no 'current-context'");
	r = find_named(root, "contexts", "context", name, &context, e);
	if (r < 0)
		return r;
	r = take_str(&c->namespace_, context, "namespace", e);
	if (r < 0)
		return r;
	name = json_get_str(context, "cluster");
	r = find_named(root, "clusters", "cluster", name ? name : "", &cluster, e);
	if (r < 0)
		return r;
	r = read_cluster(c, cluster, dir, e);
	if (r < 0)
		return err_wrap(e, r, "cluster '%s'", name);

	name = json_get_str(context, "user");
	if (str_empty(name))
		return 0;
	r = find_named(root, "users", "user", name, &user, e);
	if (r < 0)
		return r;
	r = read_user(c, user, dir, e);
	if (r < 0)
		return err_wrap(e, r, "user '%s'", name);
	if ((c->token || c->token_file) && is_plain_and_far(c->server))
		return err_set(
			e, -EINVAL, "a token is not sent to '%s' without TLS", c->server);
	return 0;
}

int kube_config_read(struct kube_config *ret, const char *path, struct err *e)
{
	CLEANUP(kube_config_done) struct kube_config c = { 0 };
	CLEANUP(json_freep) struct json *docs = NULL;
	CLEANUP(freep) char *dir = NULL;
	const char *slash = strrchr(path, '/');
	int r = yaml_read_file(path, &docs, e);

	if (r < 0)
		return r;
	if (json_len(docs) != 1)
		return err_set(e, -EINVAL, "'%s': not one document", path);
	dir = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
	if (!dir)
		return no_memory(e);
	r = read_context(&c, json_at(docs, 0), dir, e);
	if (r < 0)
		return err_wrap(e, r, "'%s'", path);
	*ret = c;
	c = (struct kube_config){ 0 };
	return 0;
}
