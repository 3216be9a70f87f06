# SPDX-License-Identifier: Apache-2.0
"""One node for the checks of the plugin: fake devices, the kubelet's own plugin server, the plugin. Takes the
arguments of checks.py."""
import glob, json, os, shutil, signal, subprocess, sys, tempfile, threading, time

PLUGIN, GO, BED = sys.argv[1:4]
ONLY = sys.argv[4:]
RES = "farrier.dev/edu"
A, B, C = "0000:21:00.0", "0000:41:00.0", "0000:42:00.0"


class Lines:
    """A process whose lines are kept and waited for."""

    def __init__(self, argv, stream="stdout", **kw):
        self.lines, self.cond, self.at = [], threading.Condition(), 0
        kw[stream] = subprocess.PIPE
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True, bufsize=1, **kw)
        self.t = threading.Thread(target=self.read, args=(getattr(self.p, stream),), daemon=True)
        self.t.start()

    def read(self, f):
        for line in f:
            try:
                obj = json.loads(line)
            except ValueError:
                obj = {"text": line.rstrip()}
            obj["at"] = time.time()
            with self.cond:
                self.lines.append(obj)
                self.cond.notify_all()

    def wait(self, what, timeout=5, **want):
        """The first line from self.at on whose members equal `want`; moves behind it."""
        return self.until(lambda o: all(o.get(k) == v for k, v in want.items()), what, timeout)

    def until(self, pred, what, timeout=5):
        end = time.time() + timeout
        with self.cond:
            while True:
                while self.at < len(self.lines):
                    self.at += 1
                    if pred(self.lines[self.at - 1]):
                        return self.lines[self.at - 1]
                left = end - time.time()
                if left <= 0 or not self.cond.wait(left):
                    if time.time() >= end:
                        raise AssertionError(f"{what}: not within {timeout} s; last: {self.lines[-3:]}")

    def skip(self):
        with self.cond:
            self.at = len(self.lines)

    def since(self, pred, start):
        with self.cond:
            return [o for o in self.lines[start:] if pred(o)]

    def send(self, text):
        self.p.stdin.write(text + "\n")
        self.p.stdin.flush()

    def end(self, sig=signal.SIGTERM, timeout=10):
        if self.p.poll() is None:
            self.p.send_signal(sig)
        try:
            rc = self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            self.p.kill()
            rc = self.p.wait()
        self.t.join(2)
        return rc


class Stub(Lines):
    program = GO + "/kubeletstub"

    def __init__(self, d):
        super().__init__([self.program, d], stderr=subprocess.DEVNULL)
        self.wait("stub", 10, event="started")

    def ask(self, text):
        self.skip()
        self.send(text)
        return self.until(lambda o: o.get("event") in ("answer", "error"), text, 15)

    def answer(self, text):
        o = self.ask(text)
        assert o["event"] == "answer", o
        return o["answer"]

    def list(self, devices, timeout=8, resource=RES):
        """Waits for the list of these "ID Health numa"."""
        want = sorted(devices)
        return self.until(lambda o: o.get("event") == "list" and o["resource"] == resource
                          and sorted(o["devices"] or []) == want, f"list {want}", timeout)


class Bed(Lines):
    """The fake machine: its /sys and /dev are folders that we may edit."""

    def __init__(self, dir_):
        super().__init__(["umockdev-wrapper", BED])
        self.root = self.until(lambda o: "text" in o, "bed")["text"]
        self.dir = dir_

    def do(self, text):
        self.send(text)
        o = self.until(lambda o: "text" in o, text)
        assert o["text"] == "ok", o

    def path(self, addr, *more):
        return os.path.join(self.root, self.sys(addr).lstrip("/"), *more)

    def sys(self, addr):
        return f"/sys/devices/pci{addr[:5]}{addr[5]}0/{addr}"

    def add(self, addr, numa, n, subsystem="edu", driver="edu", event=True):
        """By files: umockdev's own calls cannot add the same device node twice."""
        d = self.path(addr)
        child = os.path.join(d, subsystem, f"{subsystem}{n}")
        os.makedirs(child)
        for name, text in (("vendor", "0x1234"), ("device", "0x11e8"), ("class", "0x00ff00"), ("numa_node", numa),
                           ("uevent", f"PCI_SLOT_NAME={addr}"), (f"{subsystem}/{subsystem}{n}/uevent",
                            f"MAJOR=240\nMINOR={n}\nDEVNAME={subsystem}{n}")):
            with open(os.path.join(d, name), "w") as f:
                f.write(f"{text}\n")
        os.symlink(f"../../../bus/pci/drivers/{driver}", os.path.join(d, "driver"))
        os.symlink("../../../bus/pci", os.path.join(d, "subsystem"))
        os.symlink(f"../../../../../class/{subsystem}", os.path.join(child, "subsystem"))
        bus = os.path.join(self.root, "sys/bus/pci/devices")
        os.makedirs(bus, exist_ok=True)
        os.symlink("../../../" + self.sys(addr)[5:], os.path.join(bus, addr))
        os.makedirs(os.path.join(self.root, "dev"), exist_ok=True)
        open(os.path.join(self.root, "dev", f"{subsystem}{n}"), "w").close()
        if event:
            self.event(addr, "add")

    def remove(self, addr, event=True):
        for node in glob.glob(self.path(addr, "edu", "*")):
            os.unlink(os.path.join(self.root, "dev", os.path.basename(node)))
        os.unlink(os.path.join(self.root, "sys/bus/pci/devices", addr))
        shutil.rmtree(self.path(addr))
        if event:
            self.event(addr, "remove")

    def event(self, addr, action):
        # A device that is gone cannot be named: any event leads to a look.
        for d in glob.glob(os.path.join(self.root, "sys/devices/pci*/0000:*")) + ["/" + addr]:
            addr = addr if os.path.isdir(self.path(addr)) else os.path.basename(d)
        if os.path.isdir(self.path(addr)):
            self.do(f"event {self.sys(addr)} {action}")

    def unbind(self, addr, event=True):
        os.unlink(self.path(addr, "driver"))
        if event:
            self.event(addr, "unbind")

    def bind(self, addr, driver="edu", event=True):
        os.symlink(f"../../../bus/pci/drivers/{driver}", self.path(addr, "driver"))
        if event:
            self.event(addr, "bind")


CLASS = """apiVersion: farrier.dev/v1alpha1
kind: AcceleratorClass
metadata: {{ name: {name} }}
spec:
  match: [ {{ bus: PCI, vendor: "1234", device: "11e8"{match} }} ]
  resourceName: {resource}
  deviceNodes: [ {{ subsystem: edu, permissions: rw }} ]
{more}"""


class World:
    """One node: folders, fake devices, a kubelet, and the plugin."""

    preload = None

    def __init__(self, devices=((A, 0, 0), (B, 1, 1)), classes=True, kubelet=True):
        self.dir = tempfile.mkdtemp(prefix="farrier-plugin-")
        for d in ("dp", "cdi", "run", "classes"):
            os.mkdir(self.path(d))
        self.bed = Bed(self.dir)
        for d in devices:
            self.bed.add(*d)
        if classes:
            self.cls("edu")
        self.stub = Stub(self.path("dp")) if kubelet else None
        self.plugins = []

    def path(self, *p):
        return os.path.join(self.dir, *p)

    def cls(self, name, resource=RES, match=', driver: edu', more="", file=None):
        text = CLASS.format(name=name, resource=resource, match=match, more=more)
        self.write(file or f"{name}.yaml", text)

    def write(self, file, text):
        tmp = self.path("classes", ".tmp")
        with open(tmp, "w") as f:
            f.write(text)
        os.rename(tmp, self.path("classes", file))

    def env(self):
        preload = "libumockdev-preload.so.0"
        if "/san/" in PLUGIN:
            preload = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip() + ":" + preload
        if self.preload:
            asan, _, rest = preload.rpartition(":")
            preload = ":".join(x for x in (asan, self.preload, rest) if x)
        return dict(os.environ, LD_PRELOAD=preload, UMOCKDEV_DIR=self.bed.root,
                    ASAN_OPTIONS="detect_leaks=1", **getattr(self, "extra_env", {}))

    def argv(self, *more):
        return [PLUGIN, "--classes", self.path("classes"), "--kubelet-dir", self.path("dp"),
                "--cdi-dir", self.path("cdi"), "--run", self.path("run"), *more]

    def start(self, *more):
        p = Lines(self.argv(*more), stream="stderr", env=self.env(), stdout=subprocess.DEVNULL)
        self.plugins.append(p)
        return p

    def show(self, *more):
        return subprocess.check_output(self.argv(*more), env=self.env(), text=True, timeout=20)

    def up(self, *more, devices=(f"{A} Healthy 0", f"{B} Healthy 1")):
        p = self.start(*more)
        self.stub.list(devices, timeout=10)
        return p

    def sign(self, addr, name, text):
        """What the kernel says of a device, in a file of its folder; old or new, never empty."""
        tmp = self.bed.path(addr, ".new")
        with open(tmp, "w") as f:
            f.write(text + "\n")
        os.rename(tmp, self.bed.path(addr, name))

    def device(self, addr, timeout=25, **want):
        """Waits until devices.json says so of the device."""
        end, have = time.time() + timeout, None
        while time.time() < end:
            devices = json.load(open(self.path("run", "devices.json")))["devices"]
            have = next(d for d in devices if d["id"] == addr)
            if all(have[k] == v for k, v in want.items()):
                return have
            time.sleep(0.05)
        raise AssertionError(f"{addr}: not {want} within {timeout} s: {have}")

    def sockets(self):
        return glob.glob(self.path("dp", "farrier-*.sock"))

    def close(self):
        bad = []
        for p in self.plugins:
            rc = p.end()
            bad += [o["text"] for o in p.lines if "text" in o]
            if rc not in (0, -signal.SIGKILL):
                bad.append(f"plugin's status {rc}")
        if self.stub:
            self.stub.end(signal.SIGKILL)
        self.bed.p.stdin.close()
        self.bed.end()
        shutil.rmtree(self.dir)
        shutil.rmtree(self.bed.root, ignore_errors=True)
        assert not bad, "\n".join(bad[-40:])


CHECKS = []


def check(name, **kw):
    def wrap(f):
        CHECKS.append((name, f, kw))
        return f
    return wrap


def eq(have, want):
    assert have == want, f"{have!r} is not {want!r}"
