#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Starts the control plane and N real nodes on this machine, each in its own namespaces; prints how long it took.
# usage: up.sh [NODES=1]      0: control plane only; run again with a larger number to add nodes n1..nN
# env: NUMA=k  CPU_MANAGER_POLICY=none|static  TOPOLOGY_MANAGER_POLICY=...  KUBE_PROXY=0|1  KUBELET_EXTRA=yaml  KUBELET_V=n
#      APISERVER_ARGS KCM_ARGS SCHEDULER_ARGS   IMAGES="more image tars for the nodes"
#      NODE_HOOK=script run in each node's namespaces before its containerd starts, with the node's name
set -euo pipefail
. "$(dirname "$0")/lib.sh"
N=${1:-1} t0=$(now)
[ -e "$OUT/.complete" ] || "$here/build.sh" >/dev/null
mkdir -p "$RUN/logs"
names=()
for ((i = 1; i <= N; i++)); do names+=("n$i"); done
"$here/pki.sh" "${names[@]}"

own_netns() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
if ! alive "$RUN/infra.pid"; then
	setsid unshare --net --mount --pid --fork --kill-child --mount-proc "$here/infra-init.sh" "$RUN" \
		</dev/null >"$RUN/logs/infra.log" 2>&1 &
	echo $! >"$RUN/infra.pid"
	wait_for 10 "namespaces of the control plane" own_netns $!
fi
wait_for 20 bridge infra ip link show $BRIDGE
wait_for 120 apiserver api readyz
echo "API server ready: $(since "$t0") s"

start_node() { # in the background (its own process): moves itself into the node's cgroups, then becomes the node
	local i=$1 name=$2 h c
	for h in $CGROUPS systemd; do
		c=/sys/fs/cgroup/$h/$CG-$name
		mkdir -p "$c" 2>/dev/null || continue
		if [ "$h" = cpuset ]; then # a new cpuset is empty: no process may enter
			cat /sys/fs/cgroup/cpuset/cpuset.cpus >"$c/cpuset.cpus"
			cat /sys/fs/cgroup/cpuset/cpuset.mems >"$c/cpuset.mems"
		fi
		[ "$h" != memory ] || echo 1 >"$c/memory.use_hierarchy" 2>/dev/null || true
		echo $BASHPID >"$c/cgroup.procs"
	done
	exec setsid unshare --net --mount --uts --ipc --pid --cgroup --fork --kill-child --mount-proc \
		"$here/node-init.sh" "$i" "$name" "$RUN" </dev/null >"$RUN/logs/$name.log" 2>&1
}
if [ "$N" -gt 0 ]; then
	[ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || {
		echo "namespaced nodes need cgroup v1 on this machine (the QEMU node does not)" >&2
		exit 3
	}
	CGROUPS=$(for h in /sys/fs/cgroup/*/; do
		h=$(basename "$h")
		case $h in unified | systemd) continue ;; esac
		[ ! -e "/sys/fs/cgroup/$h/cgroup.procs" ] || [ -L "/sys/fs/cgroup/$h" ] || echo "$h"
	done | tr '\n' ' ')
	export CGROUPS
fi
for ((i = 1; i <= N; i++)); do
	name=n$i
	alive "$RUN/$name.pid" && continue
	start_node "$i" "$name" &
	pid=$!
	echo $pid >"$RUN/$name.pid"
	wait_for 10 "namespaces of $name" own_netns $pid
	infra ip link add "v-$name" type veth peer name eth0 netns $pid
	infra ip link set "v-$name" master $BRIDGE up
	infra ip route replace "$POD_NET.$i.0/24" via "$NODE_NET.$((10 + i))"
done
ready() { api "api/v1/nodes/$1" | grep -q '"reason": *"KubeletReady"'; }
for n in "${names[@]}"; do
	wait_for 300 "node $n" ready "$n"
	echo "node $n Ready: $(since "$t0") s"
done
# A pod made before this exists is refused ("serviceaccount default not found").
wait_for 60 "default service account" api api/v1/namespaces/default/serviceaccounts/default
