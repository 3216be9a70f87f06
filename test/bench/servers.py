# SPDX-License-Identifier: Apache-2.0
"""The two API servers of scale.py: the streaming stand-in, and the real one of test/cluster with a fleet played to it."""
import json, os, subprocess, urllib.request

PORT = 18480
BASE = f"http://127.0.0.1:{PORT}"


class Server:
    """nodes(n): until there are n; beat(n), flip(n): events, the call ends when all were sent; edit(version): of the driver."""

    def writes(self):
        return {k: v for k, v in self.state()["writes"].items() if k != "events"}


class StandIn(Server):
    name = "stand-in"
    beats = int(os.environ.get("BEATS", 20000))
    edit_max = 10000

    def __init__(self, tools, work):
        self.kubeconfig = work + "/kubeconfig"
        with open(self.kubeconfig, "w") as f:
            f.write(f"""apiVersion: v1
kind: Config
current-context: c
contexts: [ {{ name: c, context: {{ cluster: c, user: u, namespace: farrier-system }} }} ]
clusters: [ {{ name: c, cluster: {{ server: "{BASE}" }} }} ]
users: [ {{ name: u, user: {{ token: none }} }} ]
""")
        self.p = subprocess.Popen([tools + "/apistub", f"127.0.0.1:{PORT}"], stdout=subprocess.PIPE, text=True)
        self.p.stdout.readline()

    def ask(self, what, **args):
        query = "&".join(f"{k}={v}" for k, v in args.items())
        with urllib.request.urlopen(urllib.request.Request(f"{BASE}/bench/{what}?{query}", method="POST")) as r:
            return json.load(r)

    def is_up(self):
        try:
            return bool(self.ask("state"))
        except OSError:
            return False

    def state(self):
        return self.ask("state")

    def join(self, n):
        """Three nodes tell what is written to every one."""
        self.ask("scale", n=3)
        return 3

    def joined(self, n):
        self.ask("scale", n=n, exist=1)

    def send(self, what, n, wait):
        sent = self.state()["sent"]
        self.ask(what, n=n)
        wait("the events", lambda: self.state()["sent"] >= sent + n)

    def edit(self, version):
        self.ask("driver", version=version)

    def stop(self):
        self.p.kill()
        self.p.wait()


class Real(Server):
    """kubeconfig: of an administrator; the definitions, the namespace, a driver and a class are there."""
    name = "kube-apiserver"
    beats = int(os.environ.get("BEATS", 2000))
    edit_max = 1 << 30

    def __init__(self, tools, kubeconfig):
        self.kubeconfig = kubeconfig
        self.had = 0
        self.p = subprocess.Popen([tools + "/fleet", kubeconfig], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        self.p.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.p.stdin.flush()
        answer = json.loads(self.p.stdout.readline())
        if "error" in answer:
            raise OSError(answer["error"])
        return answer

    def is_up(self):
        return True

    def state(self):
        return self.ask("state")

    def join(self, n):
        had, self.had = self.had, n
        self.ask("make", n)
        return n - had

    def joined(self, n):
        pass

    def send(self, what, n, _):
        self.ask(what, n)

    def edit(self, version):
        self.ask("driver", version)

    def stop(self):
        self.p.kill()
        self.p.wait()
