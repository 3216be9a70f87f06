#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# First process (pid 1) of one node's namespaces (mount, net, uts, ipc, pid, cgroup). Started by up.sh.
# usage: node-init.sh INDEX NAME
. "$(dirname "$0")/lib.sh"
use_debian_programs
i=$1 name=$2
D=$RUN/$name LOG=$RUN/$name/logs
mkdir -p "$LOG"
exec >>"$LOG/init.log" 2>&1
set -x
hostname "$name"

# --- mounts -------------------------------------------------------------------------------------
# Own peer group: nothing leaks to the machine, and kubelet/containerd still get shared propagation.
mount --make-rprivate /; mount --make-rshared /
umount -R -l /sys                                # drop the inherited cgroup mounts: libcontainer would find them twice
mount -t sysfs sysfs /sys                        # this netns' view of /sys/class/net
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup  # cgroup v1 hierarchies, rooted at this cgroup namespace
for h in $CGROUPS; do mkdir -p /sys/fs/cgroup/$h; mount -t cgroup -o $h cgroup /sys/fs/cgroup/$h; done
mkdir -p /sys/fs/cgroup/systemd; mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd || rmdir /sys/fs/cgroup/systemd
mount -t tmpfs -o mode=755 tmpfs /run
# The kubelet's device-plugin socket folder is hard-wired to /var/lib/kubelet/device-plugins (--root-dir does not
# move it), containerd's shim sockets to /run/containerd: so each node gets its own /var and /etc (overlays,
# upper layer in the node's folder) with real-filesystem bind mounts where overlayfs cannot nest.
mkdir -p /run/state
mount --bind "$RUN" /run/state
for d in etc var; do   # in this order: with /var covered, what lies below it is no real file system any more
  mkdir -p "$D/ovl/$d.up" "$D/ovl/$d.work"
  mount -t overlay -o "lowerdir=/$d,upperdir=$D/ovl/$d.up,workdir=$D/ovl/$d.work" overlay /$d || exit 1
done
mkdir -p "$RUN"
mountpoint -q "$RUN" || mount --bind /run/state "$RUN"   # the state itself stays a real file system, also below /var
for d in kubelet containerd; do mkdir -p "$D/$d" /var/lib/$d; mount --bind "$D/$d" /var/lib/$d; mount --make-shared /var/lib/$d; done
mkdir -p "$D/podlogs" /var/log/pods; mount --bind "$D/podlogs" /var/log/pods
[ -L /var/run ] || { mkdir -p /var/run; mount --bind /run /var/run; }
# The kubelet sets these machine-wide sysctls at start. Plain files bound over them keep the machine's values.
mkdir -p "$D/sysctl"
for s in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
         kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  f=${s%%=*}; n=$D/sysctl/${f//\//.}; echo "${s#*=}" > "$n"; mount --bind "$n" /proc/sys/$f
done

# NUMA=k: show the kubelet k NUMA nodes (1..8). The kubelet (cAdvisor) reads its topology only from
# /sys/devices/system/node, so a made-up tree bound over it is enough for the Topology Manager. The real CPUs are dealt
# out in turn; a NUMA node may be left without any (memory only). More CPUs than are real cannot be faked this way:
# on cgroup v1 the kubelet writes all CPU ids to kubepods' cpuset.cpus and dies with "numerical result out of range".
if [ "${NUMA:-0}" -gt 0 ]; then
  T=$D/numa; rm -rf "$T"; c=$(nproc --all); mem=$(awk '/MemTotal/{print $2}' /proc/meminfo)
  for ((n=0;n<NUMA;n++)); do
    mkdir -p "$T/node$n/hugepages/hugepages-2048kB"; echo 0 > "$T/node$n/hugepages/hugepages-2048kB/nr_hugepages"
    d=""; for ((m=0;m<NUMA;m++)); do d+="$([ $m = $n ] && echo 10 || echo 20) "; done; echo "$d" > "$T/node$n/distance"
    printf 'Node %d MemTotal:       %d kB\nNode %d MemFree:        %d kB\n' $n $((mem/NUMA)) $n $((mem/NUMA/2)) > "$T/node$n/meminfo"
    for ((j=n;j<c;j+=NUMA)); do
      mkdir -p "$T/node$n/cpu$j/topology" "$T/node$n/cpu$j/cache"
      echo $j > "$T/node$n/cpu$j/topology/core_id"; echo $n > "$T/node$n/cpu$j/topology/physical_package_id"
    done
  done
  echo "0-$((NUMA-1))" > "$T/online"
  mount --bind "$T" /sys/devices/system/node
fi

# --- network ------------------------------------------------------------------------------------
ip link set lo up
wait_for 10 eth0 ip link show eth0
ip addr add $NODE_NET.$((10+i))/24 dev eth0; ip link set eth0 up; ip route add default via $API_IP
echo 1 > /proc/sys/net/ipv4/ip_forward
mkdir -p /etc/cni/net.d
cat > /etc/cni/net.d/10-test.conflist <<C
{"cniVersion":"1.0.0","name":"test","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":false,"hairpinMode":true,
  "ipam":{"type":"host-local","ranges":[[{"subnet":"$POD_NET.$i.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
C

# --- containerd ---------------------------------------------------------------------------------
mkdir -p /etc/containerd /etc/cdi
cat > /etc/containerd/config.toml <<C
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "registry.local/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  # This machine lacks CAP_SYS_RESOURCE (see CapBnd): oom_score_adj cannot be lowered, and runc would die with
  # "can't get final child's PID from pipe: EOF" on the pause container's -998. Clamp instead.
  restrict_oom_score_adj = true
  enable_cdi = true
  cdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["$DEB/usr/lib/cni"]
    conf_dir = "/etc/cni/net.d"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "$DEB/usr/sbin/runc"
        SystemdCgroup = false
C
# What a test wants different on this node: a faked kernel, for one. It sees the node as its processes will.
[ -z "${NODE_HOOK:-}" ] || "$NODE_HOOK" "$name" "$D"

supervise containerd containerd -c /etc/containerd/config.toml
wait_for 60 containerd ctr -a /run/containerd/containerd.sock version
for f in "$OUT"/images/*.tar ${IMAGES:-}; do ctr -a /run/containerd/containerd.sock -n k8s.io images import "$f"; done

# --- kubelet ------------------------------------------------------------------------------------
cat > /etc/kubelet.yaml <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: "$RUN/pki/ca.crt"}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /
failSwapOn: false
failCgroupV1: false
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]         # nothing listens there unless you deploy a DNS server
resolvConf: /etc/resolv.conf
registerNode: true
cpuManagerPolicy: ${CPU_MANAGER_POLICY:-static}
reservedSystemCPUs: "0"
topologyManagerPolicy: ${TOPOLOGY_MANAGER_POLICY:-best-effort}
enforceNodeAllocatable: [pods]
evictionHard: {memory.available: 50Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
imageGCHighThresholdPercent: 100
imageMinimumGCAge: 24h
nodeStatusUpdateFrequency: 5s
makeIPTablesUtilChains: false
volumePluginDir: /var/lib/kubelet/volumeplugins
maxPods: 110
${KUBELET_EXTRA:-}
C
supervise kubelet kubelet --config /etc/kubelet.yaml --kubeconfig "$RUN/node-$name.kubeconfig" \
  --hostname-override "$name" --node-ip $NODE_NET.$((10+i)) --node-labels farrier.test/node="$i" --v=${KUBELET_V:-2}

# --- services -----------------------------------------------------------------------------------
if [ "${KUBE_PROXY:-1}" = 1 ]; then
  # conntrack maxPerCore=0, min=0: nf_conntrack_max is read-only outside the first network namespace.
  cat > /etc/kube-proxy.yaml <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: "$RUN/proxy.kubeconfig"}
clusterCIDR: $POD_NET.0.0/16
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {syncPeriod: 30s}
C
  supervise kube-proxy kube-proxy --config /etc/kube-proxy.yaml --hostname-override "$name"
fi
wait
