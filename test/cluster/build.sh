#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds every program of the test cluster, into the cache, from package registries only:
#   Go modules: kubernetes (one multi-call binary), etcd, containerd, helm, the upstream sample device plugin
#   Debian:     runc, CNI plugins, busybox-static, nftables, iptables (unpacked, not installed)
# usage: build.sh [--where]     prints the folder; does nothing if it is complete
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$SRC/hack/go.sh"
[ "${1:-}" != --where ] || { echo "$OUT"; exit 0; }
[ ! -e "$OUT/.complete" ] || { echo "$OUT"; exit 0; }
mkdir -p "$FARRIER_CACHE"
exec 9>"$OUT.lock"
flock 9
[ ! -e "$OUT/.complete" ] || { echo "$OUT"; exit 0; }
final=$OUT
export OUT=$FARRIER_CACHE/.cluster.$$
trap 'rm -rf "$OUT"' EXIT
rm -rf "$FARRIER_CACHE"/.cluster.*
mkdir -p "$OUT/bin"
go=$(go_find) || { echo "no Go >= $GO_NEEDED: run hack/setup.sh" >&2; exit 3; }
cpus=$(nproc)
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false -p=$cpus"

# The version is set by the linker only: else the server says v0.0.0-master and clients that parse it fail.
minor=${K8S_VERSION#v1.}
minor=${minor%%.*}
kv=k8s.io/component-base/version
k8s_ld="-s -w -X $kv.gitVersion=$K8S_VERSION -X $kv.gitMajor=1 -X $kv.gitMinor=$minor -X $kv.gitTreeState=clean"
k8s_ld+=" -X $kv.gitCommit=0000000000000000000000000000000000000000 -X $kv.buildDate=2026-01-01T00:00:00Z"
k8s_ld+=" -X k8s.io/client-go/pkg/version.gitVersion=$K8S_VERSION"

k8s_mod=()
[ "$K8S_VERSION" = "$K8S_DEFAULT" ] || k8s_mod=("-modfile=$K8S_VERSION.mod")

in_module() { # in_module DIR go-build-arguments...
	cd "$here/go/$1"
	shift
	"$go" build "$@"
}
kubernetes() { # all six commands as one binary: one link step instead of six, shared text
	(in_module k8s "${k8s_mod[@]}" -ldflags "$k8s_ld" -o "$OUT/bin/kubeall" ./kubeall)
	for c in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
		ln -sf kubeall "$OUT/bin/$c"
	done
}
plugins() {
	(in_module k8s "${k8s_mod[@]}" -ldflags "$k8s_ld" -o "$OUT/bin/" k8s.io/kubernetes/test/images/sample-device-plugin)
	(in_module k8s "${k8s_mod[@]}" -ldflags "-s -w" -o "$OUT/bin/" ./podres)
}
etcd() { (in_module etcd -ldflags "-s -w" -o "$OUT/bin/etcd" go.etcd.io/etcd/server/v3); }
containerd() {
	(in_module containerd -tags "no_btrfs no_devmapper no_zfs no_aufs" \
		-ldflags "-s -w -X github.com/containerd/containerd/v2/version.Version=$CONTAINERD_VERSION" -o "$OUT/bin/" \
		github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr})
}
helm() {
	local v=helm.sh/helm/v3
	(in_module helm -ldflags "-s -w -X $v/internal/version.version=$HELM_VERSION \
		-X $v/pkg/lint/rules.k8sVersionMajor=1 -X $v/pkg/lint/rules.k8sVersionMinor=$minor \
		-X $v/pkg/chartutil.k8sVersionMajor=1 -X $v/pkg/chartutil.k8sVersionMinor=$minor" \
		-o "$OUT/bin/helm" $v/cmd/helm)
}
debian() {
	mkdir -p "$OUT/debs" "$OUT/deb"
	(cd "$OUT/debs" && apt-get -qq -o APT::Sandbox::User=root download runc libseccomp2 \
		containernetworking-plugins busybox-static nftables libnftables1 libnftnl11 libmnl0 libjansson4 \
		libnfnetlink0 libnetfilter-conntrack3 conntrack iptables libxtables12 libip4tc2 libip6tc2)
	for d in "$OUT"/debs/*.deb; do dpkg-deb -x "$d" "$OUT/deb"; done
	rm -rf "$OUT/debs"
	for n in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
		ln -sf xtables-nft-multi "$OUT/deb/usr/sbin/$n"
	done
}
echo "cluster programs into $final (once)" >&2
progress "Debian's runc, CNI plugins, nftables" debian
progress "kubernetes $K8S_VERSION" kubernetes
progress "sample device plugin, podres" plugins
progress "containerd $CONTAINERD_VERSION" containerd
progress "etcd $ETCD_VERSION" etcd
progress "helm $HELM_VERSION" helm
progress "images" "$here/images.sh"
: >"$OUT/.complete"
mv -T "$OUT" "$final"
# Older ones: keep the four newest, another version and a checkout of another commit may be in use beside this one.
for old in $(ls -dt "$FARRIER_CACHE"/cluster-????????????????/ | tail -n +5); do
	rm -rf "$old" "${old%/}.lock"
done
echo "$final"
