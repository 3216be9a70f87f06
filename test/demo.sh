#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make demo: a node gets its drivers, upgrades its kernel, and has its accelerators back; then a new version of the driver
# rolls over a fleet. Everything in it is real: the Kubernetes, the node (a QEMU guest with Debian), the kernels, the
# driver, the cards. Only the fleet's other nodes, in namespaces of this machine, have a faked kernel.
# KEEP=1 leaves it up for a person to play with and says how.
set -uo pipefail
. "$(dirname "$0")/e2e/steps.sh"
. "$e2e/wave-steps.sh"
t0=$(now) names=() times=()
[ "$(id -u)" = 0 ] || { echo "demo: needs root (namespaces, a tap device)" >&2; exit 3; }
cleanup() {
	trap - EXIT INT TERM
	if [ "${KEEP:-}" = 1 ] && [ "${done:-}" = 1 ]; then
		cat <<-K

			It is all up. To play with it:
			  test/cluster/kubectl get accdrv,acccls,accnode          kubectl as admin (helm beside it)
			  test/node/exec.sh $NODE 'ls /var/lib/farrier /dev/edu*'     a command on the node
			  test/node/reboot.sh $NODE [$OLD|$NEW] [--crash]   reboot it, cut its power
			  test/node/qmp.sh $NODE device_add driver=edu id=e2 bus=rp2  plug another card
			  test/cluster/down.sh                                    end everything
			Logs: $RUN/logs, consoles: $S
		K
	else
		[ "${done:-}" = 1 ] || { [ ! -d "$RUN/logs" ] || save_logs; }
		step_down
	fi
}
save_logs() { # what failed is wanted after the cleanup
	local to=$SRC/build/demo-logs
	k get accdrv,acccls,accnode,nodes,pods -A -o yaml >"$RUN/logs/objects.yaml" 2>&1
	guest -t 30 'cd /var/log; tail -n 300 kubelet.log; journalctl -b --no-pager | tail -300
for f in pods/farrier*/*/*.log; do echo "== $f"; tail -n 100 "$f"; done' >"$RUN/logs/guest.log" 2>&1
	rm -rf "$to"
	mkdir -p "$SRC/build"
	cp -r "$RUN/logs" "$to"
	cp "$S"/console.* "$to/" 2>/dev/null
	echo "logs: $to" >&2
}
step() { # step "what is said" FUNCTION
	local s
	s=$(now)
	printf '\n==> %s\n' "$1"
	"$2" || { echo "demo: FAILED: $1: $why" >&2; exit 1; }
	names+=("$1") times+=("$(since "$s")")
	echo "    done in ${times[-1]} s"
}
show() { # show CMD...: the command and its output, indented
	printf '    $ %s\n' "${*//$RUN/RUN}"
	"$@" 2>&1 | sed 's/^/    /'
}
# In a shell of its own that prints what it installs: it may take minutes on a new machine.
step_setup() { "$SRC/hack/setup.sh" | sed 's/^/    /' || fail "hack/setup.sh"; }
kubectl() { k "$@"; }
on_node() { guest -t 60 "$@"; }

"$e2e/../cluster/down.sh" # what a run that was killed has left
trap cleanup EXIT
trap 'exit 130' INT TERM
mkdir -p "$RUN/logs"
steps_init
step "install what this needs (Debian packages, Go)" step_setup
step "build Farrier" step_build
step "make its image" step_images
step "programs of the cluster and disk of the node (cached)" step_prepare
step "control plane" step_cluster
step "a QEMU guest joins as a node, kernel $OLD" step_node
show kubectl get nodes -o wide
show on_node 'for d in /sys/bus/pci/devices/*; do [ "$(cat $d/device)" != 0x11e8 ] || echo "accelerator ${d##*/} NUMA node $(cat $d/numa_node)"; done'
step "helm install farrier" step_install
show kubectl -n farrier-system get pods
step "AcceleratorDriver edu: built from source on the node, verified, loaded" step_driver
step "the kubelet has the devices" step_allocatable
show kubectl get accdrv,acccls,accnode
echo "    allocatable of $NODE: $RESOURCE=$(allocatable)"
show on_node podres
step "a pod computes on one of them" step_pod
show kubectl logs factorial
step "a second driver, fbar, is fine with this kernel" step_broken_driver
step "kernel $NEW is installed on the node (dpkg)" step_kernel
grep -E 'Setting up|symlink' "$RUN/logs/dpkg.log" | sed 's/^/    /'
step "edu is built and verified for $NEW, which nobody has booted yet" step_staged
step "fbar cannot be built for $NEW, and the node says so before the reboot" step_reported
show kubectl get accnode
echo "    fbar for $NEW: $(kernel_driver_field $NEW fbar reason): $(kernel_driver_field $NEW fbar message)" | cut -c1-300
step "reboot into $NEW, devices allocatable again" step_reboot
step_times || { echo "demo: FAILED: times: $why" >&2; exit 1; }
step "nothing was compiled after the reboot" step_nothing_compiled
show kubectl get nodes -o wide
wait_for 120 "the pod" pods_ready default 1 2>/dev/null # it held a card over the reboot: whether it runs again is told, not asked for
show kubectl get pods
show on_node podres

if can_have_nodes; then
	step "three nodes in namespaces join; their kernel is faked, the rest is real" step_nodes
	step "Farrier on them" step_install_shim
	step "they build and load version 1.0 too" step_first_version
	step "a pod holds a card of n2" step_hold_device
	show kubectl get accnode
	step "kubectl patch: version 1.1, maxParallelUpgrades 1, drain: it rolls over four nodes" step_roll
	wave_story | sed 's/^/    /'
	show kubectl get accdrv,accnode
	show kubectl get nodes
else
	printf '\n==> no wave: nodes in namespaces need cgroup v1 on this machine\n'
fi

printf '\n%-84s %8s\n' "step" "seconds"
for n in "${!names[@]}"; do printf '%-84s %8s\n' "${names[n]}" "${times[n]}"; done
printf '%-84s %8s\n' "everything" "$(since "$t0")"
cat <<T

after the reboot:
  kubelet.sock answers                      $up_socket s of uptime
  devices in GetAllocatableResources        $registered_in s later
  devices in the Node object                $node_lag s later
T
done=1
