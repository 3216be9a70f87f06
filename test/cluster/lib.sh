# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts of the test cluster: where its programs and its state are, addresses, small helpers.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib.sh"
. "$here/versions.env"
export K8S_VERSION
# The programs are cached by what decides their bytes: versions, sources and the scripts that build them.
cluster_digest() {
	(cd "$here" && cat versions.env build.sh images.sh mkimage.sh images/* go/*/*.mod go/*/*.sum go/k8s/*/*.go) |
		digest_of "$K8S_VERSION"
}
OUT=${OUT:-$FARRIER_CACHE/cluster-$(cluster_digest)}
BIN=$OUT/bin DEB=$OUT/deb
# Prefix of the nodes' cgroups: several clusters (RUN folders) may run at once.
CG=farrier-$(printf %s "$RUN" | cksum | cut -d' ' -f1)
# The control plane has a network namespace of its own, with the bridge that joins the nodes.
BRIDGE=br-farrier API_IP=10.77.0.1 NODE_NET=10.77.0 POD_NET=10.244 SVC_CIDR=10.96.0.0/16 SVC_IP=10.96.0.1
API=https://$API_IP:6443
export PATH=$BIN:$PATH

# Debian's programs are unpacked, not installed: the loader must be told where their libraries are.
use_debian_programs() {
	export LD_LIBRARY_PATH=$DEB/usr/lib/x86_64-linux-gnu XTABLES_LIBDIR=$DEB/usr/lib/x86_64-linux-gnu/xtables
	export PATH=$DEB/usr/sbin:$PATH
}
infra() { nsenter -t "$(cat "$RUN/infra.pid")" -n "$@"; } # run a command in the control plane's network
# A cheap call of the API server (kubectl costs 0.15 s of CPU a call): api PATH [curl arguments]
api() {
	local path=$1
	shift
	infra curl -sSf --max-time 20 --cacert "$RUN/pki/ca.crt" --cert "$RUN/pki/admin.crt" --key "$RUN/pki/admin.key" \
		"$@" "$API/$path" 2>>"$RUN/logs/api-curl.log"
}
k() { infra "$BIN/kubectl" --kubeconfig "$RUN/admin.kubeconfig" "$@"; }
# jget PATH...: prints the value at PATH (words; a number picks from a list) of the JSON on stdin, nothing if absent
jget() {
	$PY -c '
import json, sys
try: v = json.load(sys.stdin)
except ValueError: sys.exit(0) # nothing was answered
for p in sys.argv[1:]:
    try: v = v[int(p)] if isinstance(v, list) else v[p]
    except (KeyError, IndexError, TypeError, ValueError): sys.exit(0)
print(v if isinstance(v, str) else json.dumps(v))' "$@"
}
# supervise NAME CMD...: run for ever, as an init system would (log in $LOG/NAME.log); $LOG/NAME.stop holds it back
supervise() {
	local name=$1
	shift
	(
		trap 'exit 0' TERM
		while :; do
			while [ -e "$LOG/$name.stop" ]; do sleep 0.2; done
			"$@" >>"$LOG/$name.log" 2>&1
			echo "== $name: exit $?" >>"$LOG/$name.log"
			sleep 0.5
		done
	) &
}
