// SPDX-License-Identifier: Apache-2.0
/* Where the API server is and who we are to it. For lib/kube*.c only. */
#pragma once

#include "http.h"
#include "kube.h"

struct kube_config {
	char *server; /* "https://host:port[/prefix]", no '/' at the end */
	char *namespace_;
	char *token; /* fixed, or read from token_file by kube.c */
	char *token_file;
	char *ca_file, *cert_file, *key_file;
	char *ca_data, *cert_data, *key_data;
};

void kube_config_done(struct kube_config *c);

/* From the pod's environment and @mount. -ENOENT when this is no pod. */
int kube_config_in_cluster(struct kube_config *ret, const char *mount, struct err *e)
	_must_check_;
/* The current context of the kubeconfig at @path. */
int kube_config_read(struct kube_config *ret, const char *path, struct err *e)
	_must_check_;

/* The Events of one client. */
struct kube_events;
int kube_events_new(struct kube *k, struct kube_events **ret) _must_check_;
void kube_events_free(struct kube_events *x);
struct kube_events *kube_events_of(struct kube *k);
