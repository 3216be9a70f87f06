// SPDX-License-Identifier: Apache-2.0
/* Address, method, body, TLS and the life signs of a connection, as curl wants to be told. */
#include "http_setup.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum {
	CONNECT_MS = 10000,
	DEAD_PEER_MS = 30000, /* unacknowledged bytes: the peer counts as gone */
	KEEPALIVE_IDLE_S = 15,
	KEEPALIVE_EVERY_S = 5,
	CA_CACHE_S = 60 /* an exchanged CA file counts after this */
};

static int on_sockopt(void *user, curl_socket_t fd, curlsocktype type)
{
	unsigned ms = DEAD_PEER_MS;

	/* Fails on unix sockets, which need none of it. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return CURL_SOCKOPT_OK;
}

#define SET(opt, value) (ok = ok && curl_easy_setopt(easy, (opt), (value)) == CURLE_OK)

static bool set_blob(CURL *easy, CURLoption opt, const char *pem)
{
	struct curl_blob blob = {
		.data = (void *)pem, .len = strlen(pem), .flags = CURL_BLOB_COPY
	};

	return curl_easy_setopt(easy, opt, &blob) == CURLE_OK;
}

static bool set_tls(CURL *easy, const struct http_tls *t)
{
	bool ok = true;

	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CA_CACHE_TIMEOUT, (long)CA_CACHE_S);
	if (!t)
		return ok;
	if (t->ca_data)
		ok = ok && set_blob(easy, CURLOPT_CAINFO_BLOB, t->ca_data);
	else if (t->ca_file)
		SET(CURLOPT_CAINFO, t->ca_file);
	if (t->ca_data || t->ca_file)
		SET(CURLOPT_CAPATH, NULL);
	if (t->cert_data)
		ok = ok && set_blob(easy, CURLOPT_SSLCERT_BLOB, t->cert_data);
	else if (t->cert_file)
		SET(CURLOPT_SSLCERT, t->cert_file);
	if (t->key_data)
		ok = ok && set_blob(easy, CURLOPT_SSLKEY_BLOB, t->key_data);
	else if (t->key_file)
		SET(CURLOPT_SSLKEY, t->key_file);
	return ok;
}

static bool set_headers(CURL *easy, const struct http_options *o, struct curl_slist **ret)
{
	/* Without it curl holds back a large body for a second. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	*ret = list;
	for (size_t i = 0; list && o->headers && o->headers[i]; i++) {
		list = curl_slist_append(*ret, o->headers[i]);
		if (list)
			*ret = list;
	}
	return list && curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *ret) == CURLE_OK;
}

static bool set_method(CURL *easy, const struct http_options *o)
{
	bool ok = true;

	if (streq(o->method, "HEAD"))
		SET(CURLOPT_NOBODY, 1L);
	else
		SET(CURLOPT_HTTPGET, 1L);
	if (o->body) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_len);
		SET(CURLOPT_POSTFIELDS, o->body);
	}
	SET(CURLOPT_CUSTOMREQUEST, o->method);
	return ok;
}

static bool set_transfer(CURL *easy, const struct http_options *o)
{
	bool ok = true;

	SET(CURLOPT_URL, o->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
	SET(CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_EVERY_S);
	SET(CURLOPT_SOCKOPTFUNCTION, on_sockopt);
	SET(CURLOPT_USERAGENT,
		o->user_agent ? o->user_agent : "farrier/" FARRIER_VERSION);
	if (o->unix_socket)
		SET(CURLOPT_UNIX_SOCKET_PATH, o->unix_socket);
	if (o->timeout_us)
		SET(CURLOPT_TIMEOUT_MS,
			(long)MAX(o->timeout_us / USEC_PER_MSEC, (uint64_t)1));
	return ok;
}

bool http_setup(CURL *easy, const struct http_options *o, struct curl_slist **ret_headers)
{
	return set_transfer(easy, o) && set_method(easy, o) &&
	       set_headers(easy, o, ret_headers) && set_tls(easy, o->tls);
}
