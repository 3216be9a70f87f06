#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The controller beside a client-go informer of Nodes, on an API server of servers.py. Called by scale.sh.
usage: scale.py CONTROLLER TOOLS WORK KUBECONFIG|- NODES...     KUBECONFIG: of a real server; -: the stand-in"""
import http.client, os, signal, subprocess, sys, time, urllib.request
import servers

controller, tools, w, kubeconfig = sys.argv[1:5]
sizes = [int(n) for n in sys.argv[5:]]
METRICS = 18481
ARGS = os.environ.get("CONTROLLER_ARGS", "").split()
TICK = os.sysconf("SC_CLK_TCK")
FLIPS = 1000  # updates that change something
children = []
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


begun = time.monotonic()


def say(*what):
    print(f"   {time.monotonic() - begun:5.0f} s ", *what, file=sys.stderr, flush=True)


def wait(what, test, limit=600, step=0.02):
    end = time.monotonic() + limit
    while not test():
        if time.monotonic() > end:
            sys.exit(f"timeout: {what}")
        time.sleep(step)


def status(p, *keys):
    """Values of /proc/PID/status, MB."""
    rows = dict(line.split(":", 1) for line in open(f"/proc/{p.pid}/status"))
    return [int(rows[k].split()[0]) / 1024 for k in keys]


def cpu(p):
    """Seconds of user and system time."""
    f = open(f"/proc/{p.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / TICK


def settle(p, limit=300):
    """Until the process has hardly used any time for a while: a plan may come twenty times as late as it takes."""
    quiet = 2 + max(sizes) / 20000
    end, since, was = time.monotonic() + limit, time.monotonic(), cpu(p)
    while time.monotonic() - since < quiet:
        if time.monotonic() > end:
            sys.exit("timeout: the process does not come to rest")
        time.sleep(0.25)
        now = cpu(p)
        if now - was > 0.02:
            since, was = time.monotonic(), now


def is_ready():
    try:
        c = http.client.HTTPConnection("127.0.0.1", METRICS, timeout=5)
        c.request("GET", "/readyz")
        return c.getresponse().status == 200
    except OSError:
        return False


class Ours:
    name = "controller"

    def __init__(self):
        self.log = open(w + "/controller.log", "a")
        t0 = time.monotonic()
        self.p = subprocess.Popen([controller, "--kubeconfig", server.kubeconfig, "--namespace", "farrier-system",
                                   "--metrics", f"127.0.0.1:{METRICS}", *ARGS], stderr=self.log)
        children.append(self.p)
        # A standby is ready as well: the first list is what is waited for.
        wait("the controller", lambda: is_ready() and self.metric("farrier_nodes") > 0)
        self.start = time.monotonic() - t0

    def metric(self, name):
        try:
            text = urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics", timeout=5).read().decode()
        except OSError:
            return 0
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.split(" ")[0].split("{")[0] == name)

    def stop(self):
        self.p.terminate()
        self.p.wait()


class Peer:
    name = "informer"

    def __init__(self):
        t0 = time.monotonic()
        self.p = subprocess.Popen([tools + "/informer", server.kubeconfig], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        children.append(self.p)
        self.p.stdout.readline()
        self.start = time.monotonic() - t0

    def stop(self):
        self.p.kill()
        self.p.wait()


def events(p, what, n):
    """Microseconds of CPU for each of n events."""
    before = cpu(p)
    server.send(what, n, wait)
    settle(p)
    return (cpu(p) - before) / n * 1e6


def measure(make, n):
    x = make()
    say(f"{x.name} has started")
    r = {"start": x.start}
    settle(x.p)
    r["start cpu"] = cpu(x.p)
    r["rss"], r["anon"], r["peak"] = status(x.p, "VmRSS", "RssAnon", "VmHWM")
    r["beat"] = events(x.p, "beat", server.beats)
    r["change"] = events(x.p, "flip", min(n, FLIPS))
    server.send("flip", min(n, FLIPS), wait)
    settle(x.p)
    r["rss after"], r["peak after"] = status(x.p, "VmRSS", "VmHWM")
    say(f"{n} nodes, {x.name}:", {k: round(v, 2) for k, v in r.items()})
    return x, r


def row(what, ours, peer, digits=2):
    ratio = f"{ours / peer:.3f}" if peer else "-"
    print(f"{what}|{ours:.{digits}f}|{f'{peer:.{digits}f}' if peer else '-'}|{ratio}", flush=True)


def total(writes):
    return sum(writes.values())


def edit(x, n):
    """A new version of the driver: how many writes that is for each node, and what they cost."""
    was, before = server.writes(), cpu(x.p)
    say("a new version of the driver")
    server.edit(f"1.{n}")
    wait("the new version's writes", lambda: written(was, n, "acceleratornodes", "node labels"), 3600, 0.5)
    settle_writes(x.p)
    return (total(server.writes()) - total(was)) / n, (cpu(x.p) - before) / n * 1e6


def written(was, n, *kinds):
    """Nearly all: a busy server may say of a write that it failed when it did not."""
    now = server.writes()
    return all(now.get(k, 0) - was.get(k, 0) >= 0.9 * n for k in kinds)


def settle_writes(p):
    """Until neither the process nor what is written moves any more."""
    was = None
    while was != (now := total(server.writes())):
        was = now
        settle(p)


def one(n):
    was, new = server.writes(), server.join(n)
    say(f"{new} nodes are there")
    t0 = time.monotonic()
    x = Ours()
    wait("the first writes", lambda: written(was, new, "acceleratornodes", "node labels", "node conditions"), 3600, 0.5)
    settle_writes(x.p)
    say(f"{new} nodes joined after {time.monotonic() - t0:.0f} s")
    joined = (total(server.writes()) - total(was)) / new
    x.stop()
    server.joined(n)
    size = server.state()["bytes"]
    was = server.writes()
    x, ours = measure(Ours, n)
    idle = total(server.writes()) - total(was)
    say("written meanwhile:", {k: v - was.get(k, 0) for k, v in server.writes().items()})
    if n <= server.edit_max:
        per_node, cost = edit(x, n)
    x.stop()
    x, peer = measure(Peer, n)
    x.stop()
    at = f"{n:,} nodes of {size / 1000:.1f} kB ({', '.join([server.name, *ARGS])})"
    row(f"controller, {at}: RSS, MB (peer: client-go informer of Nodes alone)", ours["rss"], peer["rss"], 1)
    row(f"controller, {at}: most RSS ever, MB", max(ours["peak"], ours["peak after"]), max(peer["peak"], peer["peak after"]), 1)
    row(f"controller, {at}: start to first plan, s (peer: to synced)", ours["start"], peer["start"])
    row(f"controller, {at}: CPU of the start, s", ours["start cpu"], peer["start cpu"])
    row(f"controller, {at}: CPU of a heartbeat, us", ours["beat"], peer["beat"], 1)
    row(f"controller, {at}: CPU of a change of Ready, us", ours["change"], peer["change"], 1)
    row(f"controller, {at}: writes for each node that joins", joined, 0)
    row(f"controller, {at}: writes of a restart and of {server.beats:,} heartbeats", idle, 0, 0)
    if n <= server.edit_max:
        row(f"controller, {at}: writes for each node, of a new version of its driver", per_node, 0)
        row(f"controller, {at}: CPU of them, us a node", cost, 0, 1)


def begin():
    s = servers.StandIn(tools, w) if kubeconfig == "-" else servers.Real(tools, kubeconfig)
    wait("the server", s.is_up)
    return s


server = begin()
try:
    for size_ in sizes:
        if size_ != sizes[0] and kubeconfig == "-":
            server.stop()
            server = begin()
        one(size_)
finally:
    for child in children:
        child.kill()
    server.stop()
