#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# First process (pid 1) of the control plane's namespaces. Started by up.sh, not by hand.
. "$(dirname "$0")/lib.sh"
LOG=$RUN/logs P=$RUN/pki
mkdir -p "$LOG"
ip link set lo up
ip link add $BRIDGE type bridge
ip addr add $API_IP/24 dev $BRIDGE
ip link set $BRIDGE up
echo 1 > /proc/sys/net/ipv4/ip_forward
supervise etcd etcd --name test --data-dir "$RUN/etcd" --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
  --initial-cluster test=http://127.0.0.1:2380 --log-level warn
supervise kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 \
  --bind-address 0.0.0.0 --secure-port 6443 --advertise-address $API_IP --service-cluster-ip-range $SVC_CIDR \
  --tls-cert-file "$P/apiserver.crt" --tls-private-key-file "$P/apiserver.key" --client-ca-file "$P/ca.crt" \
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$P/sa.pub" \
  --service-account-signing-key-file "$P/sa.key" \
  --kubelet-client-certificate "$P/apiserver-kubelet-client.crt" --kubelet-client-key "$P/apiserver-kubelet-client.key" \
  --kubelet-preferred-address-types InternalIP \
  --requestheader-client-ca-file "$P/ca.crt" --requestheader-allowed-names front-proxy-client \
  --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
  --requestheader-extra-headers-prefix X-Remote-Extra- \
  --proxy-client-cert-file "$P/front-proxy-client.crt" --proxy-client-key-file "$P/front-proxy-client.key" \
  --allow-privileged=true --profiling=false ${APISERVER_ARGS:-}
supervise kube-controller-manager kube-controller-manager --kubeconfig "$RUN/controller-manager.kubeconfig" \
  --authentication-kubeconfig "$RUN/controller-manager.kubeconfig" --authorization-kubeconfig "$RUN/controller-manager.kubeconfig" \
  --service-account-private-key-file "$P/sa.key" --root-ca-file "$P/ca.crt" --use-service-account-credentials=true \
  --cluster-signing-cert-file "$P/ca.crt" --cluster-signing-key-file "$P/ca.key" \
  --leader-elect=false --bind-address 127.0.0.1 --kube-api-qps 300 --kube-api-burst 600 --allocate-node-cidrs=false ${KCM_ARGS:-}
supervise kube-scheduler kube-scheduler --kubeconfig "$RUN/scheduler.kubeconfig" \
  --authentication-kubeconfig "$RUN/scheduler.kubeconfig" --authorization-kubeconfig "$RUN/scheduler.kubeconfig" \
  --leader-elect=false --bind-address 127.0.0.1 --kube-api-qps 300 --kube-api-burst 600 ${SCHEDULER_ARGS:-}
wait
