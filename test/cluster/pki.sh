#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One CA, a serving certificate for the API server, client certificates, a service-account key, kubeconfigs.
# usage: pki.sh [node...]     idempotent: files that exist are kept
set -euo pipefail
. "$(dirname "$0")/lib.sh"
P=$RUN/pki
mkdir -p "$P"
cd "$P"
ec() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null; }
if [ ! -s ca.crt ]; then
	ec ca
	openssl req -x509 -new -key ca.key -days 3650 -subj /CN=farrier-test-ca -out ca.crt
	ec sa
	openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
fi
cert() { # cert FILE SUBJECT EXTENSIONS
	[ ! -s "$1.crt" ] || return 0
	ec "$1"
	openssl req -new -key "$1.key" -subj "$2" |
		openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile <(printf '%s\n' "$3") \
			-out "$1.crt" 2>/dev/null
}
kubeconfig() { # kubeconfig NAME: with everything in it, so that it can be carried to another machine
	[ ! -s "$RUN/$1.kubeconfig" ] || return 0
	cat >"$RUN/$1.kubeconfig" <<K
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "$API", certificate-authority-data: "$(base64 -w0 ca.crt)"}}]
users: [{name: me, user: {client-certificate-data: "$(base64 -w0 "$1.crt")", client-key-data: "$(base64 -w0 "$1.key")"}}]
contexts: [{name: test, context: {cluster: test, user: me}}]
K
}
client="extendedKeyUsage=clientAuth"
cert apiserver /CN=kube-apiserver "subjectAltName=IP:$API_IP,IP:127.0.0.1,IP:$SVC_IP,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
extendedKeyUsage=serverAuth"
cert apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client "$client"
cert front-proxy-client /CN=front-proxy-client "$client"
cert admin /O=system:masters/CN=admin "$client"
cert controller-manager /CN=system:kube-controller-manager "$client"
cert scheduler /CN=system:kube-scheduler "$client"
cert proxy /CN=system:kube-proxy "$client"
for n in admin controller-manager scheduler proxy; do kubeconfig $n; done
for n in "$@"; do
	cert "node-$n" "/O=system:nodes/CN=system:node:$n" "$client"
	kubeconfig "node-$n"
done
