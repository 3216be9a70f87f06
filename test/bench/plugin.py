#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of the device plugin and of its peer. Called by plugin.sh inside its own mount namespace."""
import json, os, subprocess, sys, threading, time

plugin, bin_, w, calls = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
RES, PEER = "farrier.dev/edu", "example.com/resource"
DP = "/var/lib/kubelet/device-plugins"
DEVICES = 64


def mount(*a):
    subprocess.run(["mount", *a], check=True)


def fake_sys():
    sys_, dev = w + "/sys", w + "/dev"
    os.makedirs(sys_ + "/bus/pci/devices")
    os.makedirs(dev)
    for i in range(DEVICES):
        node, root, addr = i // 16, f"pci0000:{i // 8:02x}", f"0000:{0x80 + i // 8:02x}:{i % 8:02x}.0"
        d = f"{sys_}/devices/{root}/{addr}"
        os.makedirs(f"{d}/edu/edu{i}")
        for name, text in (("vendor", "0x1234"), ("device", "0x11e8"), ("class", "0x00ff00"), ("numa_node", node),
                           (f"edu/edu{i}/uevent", f"DEVNAME=edu{i}")):
            with open(f"{d}/{name}", "w") as f:
                f.write(f"{text}\n")
        os.symlink("../../../bus/pci/drivers/edu", d + "/driver")
        os.symlink("../../../../../class/edu", f"{d}/edu/edu{i}/subsystem")
        os.symlink(f"../../../devices/{root}/{addr}", f"{sys_}/bus/pci/devices/{addr}")
        open(f"{dev}/edu{i}", "w").close()
    for n in range(4):
        os.makedirs(f"{sys_}/devices/system/node/node{n}")
        with open(f"{sys_}/devices/system/node/node{n}/distance", "w") as f:
            f.write(" ".join("10" if k == n else "12" if k // 2 == n // 2 else "21" for k in range(4)) + "\n")
    mount("--bind", sys_, "/sys")


class Stub:
    def __init__(self):
        self.lines, self.cond, self.at = [], threading.Condition(), 0
        self.p = subprocess.Popen([bin_ + "/kubeletstub", DP], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.p.stdout:
            with self.cond:
                self.lines.append(json.loads(line))
                self.cond.notify_all()

    def wait(self, pred, timeout=60):
        end = time.time() + timeout
        with self.cond:
            while True:
                while self.at < len(self.lines):
                    self.at += 1
                    if pred(self.lines[self.at - 1]):
                        return self.lines[self.at - 1]
                if not self.cond.wait(max(0.0, end - time.time())) and time.time() >= end:
                    sys.exit(f"no answer; last: {self.lines[-2:]}")

    def list(self, res, n):
        return self.wait(lambda o: o["event"] == "list" and o["resource"] == res and o["healthy"] == n)

    def ask(self, text):
        self.at = len(self.lines)
        self.p.stdin.write(text + "\n")
        self.p.stdin.flush()
        o = self.wait(lambda o: o["event"] in ("answer", "error"))
        if o["event"] == "error":
            sys.exit(f"{text}: {o}")
        return o["answer"]


def memory(p):
    """RSS and its anonymous part, MB."""
    v = {k: int(x.split()[0]) / 1024 for k, x in (line.split(":", 1) for line in open(f"/proc/{p.pid}/status"))
         if k in ("VmRSS", "RssAnon")}
    return v["VmRSS"], v["RssAnon"]


def cpu(p):
    f = open(f"/proc/{p.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


def row(name, ours, peer, unit):
    ratio = f"{ours / peer:.2f}" if peer else "-"
    print(name, f"{ours:.4g}", f"{peer:.4g}" if peer is not None else "-", ratio, unit, flush=True)


mount("-t", "tmpfs", "tmpfs", "/var/lib")
os.makedirs(DP)
fake_sys()
os.makedirs(w + "/classes")


def write_class(more=""):
    with open(w + "/classes/.new", "w") as f:
        f.write(CLASS + more)
    os.rename(w + "/classes/.new", w + "/classes/edu.yaml")


CLASS = ('apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\nmetadata: { name: edu }\nspec:\n'
         '  match: [ { bus: PCI, vendor: "1234", device: "11e8" } ]\n  resourceName: ' + RES +
         '\n  deviceNodes: [ { subsystem: edu } ]\n')
write_class()
procs = []
try:
    stub = Stub()
    procs.append(stub.p)
    stub.wait(lambda o: o["event"] == "started")
    ours = subprocess.Popen([plugin, "--classes", w + "/classes", "--kubelet-dir", DP, "--cdi-dir", w + "/cdi", "--run",
                             w + "/run", "--root", w], stderr=subprocess.DEVNULL)
    procs.append(ours)
    stub.list(RES, DEVICES)
    peer = subprocess.Popen([bin_ + "/sample-device-plugin"], cwd=w, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    procs.append(peer)
    stub.list(PEER, 2)
    a, b = [], []
    for _ in range(3):  # by turns, so that both see the same noise
        a.append(stub.ask(f"bench {RES} 0000:80:00.0 {calls}"))
        b.append(stub.ask(f"bench {PEER} Dev-1 {calls}"))
    mid = lambda rounds, key: sorted(r[key] for r in rounds)[1]
    row("plugin-allocate-p50", mid(a, "p50"), mid(b, "p50"), "us")
    row("plugin-allocate-p99", mid(a, "p99"), mid(b, "p99"), "us")
    stub.at = len(stub.lines)
    t = time.time()
    stub.p.stdin.write("restart\n")
    stub.p.stdin.flush()
    t0 = stub.wait(lambda o: o["event"] == "started")["ms"]
    ours_ms = stub.list(RES, DEVICES)["ms"] - t0
    stub.at = 0
    peer_ms = stub.wait(lambda o: o["event"] == "list" and o["resource"] == PEER and o["ms"] > t0, 90)["ms"] - t0
    row("plugin-registered-after-kubelet-restart", max(ours_ms, 1), max(peer_ms, 1), "ms")
    ids = ",".join(f"0000:{0x80 + i // 8:02x}:{i % 8:02x}.0" for i in range(DEVICES))
    for n in (8, 16, 64):
        some = ",".join(ids.split(",")[i * DEVICES // n] for i in range(n))
        took = []
        for _ in range(201):  # each through the kubelet's client and two pipes: the median is nearest to what it costs
            t = time.time()
            assert len(stub.ask(f"preferred {RES} {n // 2} {some} -").split(",")) == n // 2
            took.append(1000 * (time.time() - t))
        row(f"plugin-preferred-{n // 2}-of-{n}", sorted(took)[100], None, "ms")
    before, t = (cpu(ours), cpu(peer)), time.time()
    time.sleep(20)
    spent = time.time() - t
    row("plugin-cpu-at-rest", 1000 * (cpu(ours) - before[0]) / spent, 1000 * (cpu(peer) - before[1]) / spent, "ms/s")
    (rss, anon), (peer_rss, peer_anon) = memory(ours), memory(peer)
    row("plugin-rss", rss, peer_rss, "MB")
    row("plugin-anonymous", anon, peer_anon, "MB")
    # As many as a large machine with shares has: each device 47 times, one list of 3,008. The sample plugin has two.
    stub.at, t = len(stub.lines), time.time()
    write_class("  sharing: { strategy: TimeSlice, timeSlice: { replicas: 47, maxPerRequest: 1 } }\n")
    stub.list(RES, 47 * DEVICES)
    row("plugin-3008-devices-listed", 1000 * (time.time() - t), None, "ms")
    a = [stub.ask(f"bench {RES} 0000:80:00.0::46 {calls}") for _ in range(3)]
    row("plugin-3008-devices-allocate-p50", mid(a, "p50"), mid(b, "p50"), "us")
    row("plugin-3008-devices-allocate-p99", mid(a, "p99"), mid(b, "p99"), "us")
    row("plugin-3008-devices-rss", memory(ours)[0], peer_rss, "MB")
finally:
    for p in procs:
        p.kill()
        p.wait()
    for f in ("/tmp/Dev-1", "/tmp/Dev-2"):  # the sample plugin makes them
        if os.path.exists(f):
            os.unlink(f)
