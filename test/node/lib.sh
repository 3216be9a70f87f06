# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts of the QEMU node: its golden disk, its QEMU, its identity in the test cluster.
# A guest NAME (v1, v2, ...) has its state in $RUN/vm-NAME, address 10.77.0.(100+i), pods 10.244.(100+i).0/24.
node_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$node_here/../cluster/lib.sh"
KERNELS=${KERNELS:-6.1.0-47-amd64 6.1.0-56-amd64}

vm_vars() {
	name=$1
	i=$((100 + ${name//[^0-9]/}))
	S=$RUN/vm-$name ip=$NODE_NET.$i
	mkdir -p "$S"
}
guest() { "$node_here/guest.py" "$S" "$@"; } # guest [-t SECONDS] COMMAND: in the guest's root shell
node_state() { # node_state NAME: bootID, Ready status, kernel
	api "api/v1/nodes/$1" | $PY -c 'import json, sys
s = json.load(sys.stdin)["status"]
print(s["nodeInfo"]["bootID"], [c["status"] for c in s["conditions"] if c["type"] == "Ready"][0], s["nodeInfo"]["kernelVersion"])' 2>/dev/null
}
# Ends QEMU as if power were cut, and the loop that would start it again.
vm_stop() {
	local f p
	for f in loop qemu; do
		p=$(cat "$S/$f.pid" 2>/dev/null) || continue
		if { tr '\0' ' ' <"/proc/$p/cmdline"; } 2>/dev/null | grep -qF "$S"; then
			kill -KILL "$p"
			for _ in $(seq 100); do
				kill -0 "$p" 2>/dev/null || break
				sleep 0.1
			done
		fi
		rm -f "$S/$f.pid"
	done
}
# vm_cfg: the node's identity and configuration, a plain tar that the guest reads from its second disk.
vm_cfg() {
	local d=$S/cfg P=$RUN/pki c=$S/cfg/etc/kubernetes
	rm -rf "$d"
	mkdir -p "$c" "$d/etc/cni/net.d"
	"$here/pki.sh" "$name"
	# The serving certificate is made here: else the kubelet makes RSA keys under emulation.
	[ -s "$P/kubelet-$name.crt" ] || {
		openssl ecparam -name prime256v1 -genkey -noout -out "$P/kubelet-$name.key" 2>/dev/null
		openssl req -new -key "$P/kubelet-$name.key" -subj "/O=system:nodes/CN=system:node:$name" |
			openssl x509 -req -CA "$P/ca.crt" -CAkey "$P/ca.key" -CAcreateserial -days 3650 -out "$P/kubelet-$name.crt" \
				-extfile <(printf 'subjectAltName=IP:%s,DNS:%s\nextendedKeyUsage=serverAuth' "$ip" "$name") 2>/dev/null
	}
	cp "$P/ca.crt" "$c/"
	cp "$P/kubelet-$name.crt" "$c/kubelet.crt"
	cp "$P/kubelet-$name.key" "$c/kubelet.key"
	cp "$RUN/node-$name.kubeconfig" "$c/kubelet.conf"
	cp "$RUN/proxy.kubeconfig" "$c/proxy.conf"
	printf 'NAME=%s\nIP=%s\nGW=%s\nINDEX=%s\nKUBELET_V=%s\n' "$name" "$ip" $API_IP $i "${KUBELET_V:-2}" >"$d/etc/node.env"
	cat >"$d/etc/cni/net.d/10-test.conflist" <<C
{"cniVersion":"1.0.0","name":"test","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":false,"hairpinMode":true,
  "ipam":{"type":"host-local","ranges":[[{"subnet":"$POD_NET.$i.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
C
	cat >"$c/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: /etc/kubernetes/kubelet.crt
tlsPrivateKeyFile: /etc/kubernetes/kubelet.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failSwapOn: false
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
resolvConf: /etc/resolv.conf
cpuManagerPolicy: ${CPU_MANAGER_POLICY:-static}
reservedSystemCPUs: "0"
topologyManagerPolicy: ${TOPOLOGY_MANAGER_POLICY:-single-numa-node}
evictionHard: {memory.available: 50Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
imageGCHighThresholdPercent: 100
imageMinimumGCAge: 24h
nodeStatusUpdateFrequency: 5s
makeIPTablesUtilChains: false
maxPods: 110
${KUBELET_EXTRA:-}
C
	cat >"$c/kube-proxy.yaml" <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: /etc/kubernetes/proxy.conf}
clusterCIDR: $POD_NET.0.0/16
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {syncPeriod: 30s}
C
	[ -z "${EXTRA:-}" ] || cp -r "$EXTRA/." "$d/" # EXTRA: a folder with more files for the guest
	tar -C "$d" --owner=0 --group=0 -cf "$S/cfg.tar" .
	truncate -s %1M "$S/cfg.tar" # a whole number of sectors
}
