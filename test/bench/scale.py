#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The controller beside a client-go informer of Nodes, on the streaming stand-in of an API server. Called by scale.sh.
usage: scale.py CONTROLLER TOOLS WORK NODES..."""
import http.client, json, os, subprocess, sys, time, urllib.request

controller, tools, w = sys.argv[1:4]
sizes = [int(n) for n in sys.argv[4:]]
KUBECONFIG = w + "/kubeconfig"
PORT, METRICS = 18480, 18481
BASE = f"http://127.0.0.1:{PORT}"
TICK = os.sysconf("SC_CLK_TCK")
# Of one size: updates that change nothing, updates that do, nodes whose driver gets a new version.
BEATS, FLIPS, EDIT_MAX = 20000, 1000, 10000


def say(*what):
    print("  ", *what, file=sys.stderr, flush=True)


def bench(what, **args):
    query = "&".join(f"{k}={v}" for k, v in args.items())
    with urllib.request.urlopen(urllib.request.Request(f"{BASE}/bench/{what}?{query}", method="POST")) as r:
        return json.load(r)


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


def start_stub():
    with open(KUBECONFIG, "w") as f:
        f.write(f"""apiVersion: v1
kind: Config
current-context: c
contexts: [ {{ name: c, context: {{ cluster: c, user: u, namespace: farrier-system }} }} ]
clusters: [ {{ name: c, cluster: {{ server: "{BASE}" }} }} ]
users: [ {{ name: u, user: {{ token: none }} }} ]
""")
    p = subprocess.Popen([tools + "/apistub", f"127.0.0.1:{PORT}"], stdout=subprocess.PIPE, text=True)
    p.stdout.readline()

    def answers():
        try:
            bench("state")
            return True
        except OSError:
            return False
    wait("the stand-in", answers)
    return p


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
        self.p = subprocess.Popen([controller, "--kubeconfig", KUBECONFIG, "--namespace", "farrier-system",
                                   "--metrics", f"127.0.0.1:{METRICS}"], stderr=self.log)
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
        self.p = subprocess.Popen([tools + "/informer", KUBECONFIG], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        self.p.stdout.readline()
        self.start = time.monotonic() - t0

    def stop(self):
        self.p.kill()
        self.p.wait()


def events(p, what, n):
    """Microseconds of CPU for each of n events."""
    before, sent = cpu(p), bench("state")["sent"]
    bench(what, n=n)
    wait("the events", lambda: bench("state")["sent"] >= sent + n)
    settle(p)
    return (cpu(p) - before) / n * 1e6


def writes():
    return {k: v for k, v in bench("state")["writes"].items() if k != "events"}


def measure(make, n):
    x = make()
    r = {"start": x.start}
    settle(x.p)
    r["start cpu"] = cpu(x.p)
    r["rss"], r["anon"], r["peak"] = status(x.p, "VmRSS", "RssAnon", "VmHWM")
    r["beat"] = events(x.p, "beat", BEATS)
    r["change"] = events(x.p, "flip", min(n, FLIPS))
    bench("flip", n=min(n, FLIPS))
    settle(x.p)
    r["rss after"], r["peak after"] = status(x.p, "VmRSS", "VmHWM")
    say(f"{n} nodes, {x.name}:", {k: round(v, 2) for k, v in r.items()})
    return x, r


def row(what, ours, peer, digits=2):
    ratio = f"{ours / peer:.3f}" if peer else "-"
    print(f"{what}|{ours:.{digits}f}|{f'{peer:.{digits}f}' if peer else '-'}|{ratio}", flush=True)


def edit(x, n):
    """A new version of the driver: how many writes that is for each node, and what they cost."""
    was, before, t0 = sum(writes().values()), cpu(x.p), time.monotonic()
    bench("driver", version=f"1.{n}")
    wait("the new version's writes", lambda: writes_of("acceleratornodes", was_of) >= n)
    settle(x.p)
    return (sum(writes().values()) - was) / n, (cpu(x.p) - before) / n * 1e6, time.monotonic() - t0


def one(n):
    global was_of
    bench("scale", n=3)
    x = Ours()  # three nodes tell what is written to every one
    wait("the first writes", lambda: all(writes().get(k, 0) >= 3 for k in ("acceleratornodes", "node labels", "node conditions")))
    settle(x.p)
    x.stop()
    size = bench("scale", n=n, exist=1)["bytes"]
    was = sum(writes().values())
    x, ours = measure(Ours, n)
    idle = sum(writes().values()) - was
    if n <= EDIT_MAX:
        was_of = writes()
        per_node, cost, _ = edit(x, n)
    x.stop()
    x, peer = measure(Peer, n)
    x.stop()
    at = f"{n:,} nodes of {size / 1000:.1f} kB (stand-in)"
    row(f"controller, {at}: RSS, MB (peer: client-go informer of Nodes alone)", ours["rss"], peer["rss"], 1)
    row(f"controller, {at}: most RSS ever, MB", max(ours["peak"], ours["peak after"]), max(peer["peak"], peer["peak after"]), 1)
    row(f"controller, {at}: start to synced, s", ours["start"], peer["start"])
    row(f"controller, {at}: CPU of the start, s", ours["start cpu"], peer["start cpu"])
    row(f"controller, {at}: CPU of a heartbeat, us", ours["beat"], peer["beat"], 1)
    row(f"controller, {at}: CPU of a change of Ready, us", ours["change"], peer["change"], 1)
    row(f"controller, {at}: writes of a restart and of {BEATS:,} heartbeats", idle, 0, 0)
    if n <= EDIT_MAX:
        row(f"controller, {at}: writes for each node, of a new version of its driver", per_node, 0)
        row(f"controller, {at}: CPU of them, us a node", cost, 0, 1)


def writes_of(kind, since):
    return writes().get(kind, 0) - since.get(kind, 0)


was_of = {}
for size_ in sizes:
    stub = start_stub()
    try:
        one(size_)
    finally:
        stub.kill()
        stub.wait()
