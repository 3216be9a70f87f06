# SPDX-License-Identifier: Apache-2.0
"""A machine made of files, as umockdev shows it to a program: /sys, /dev and /proc below one folder."""
import os, shutil, subprocess, tempfile

LSAN = "libasan.so"


class Machine:
    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="farrier-vendors-")
        for d in ("sys/bus/pci/devices", "dev", "classes", "dp", "cdi", "run"):
            os.makedirs(self.path(d))

    def path(self, *p):
        return os.path.join(self.root, *p)

    def file(self, path, text=""):
        path = self.path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())

    def link(self, path, to):
        """A link from path to `to`, both below the root, told the way sysfs tells it."""
        path = self.path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(os.path.relpath(self.path(to), os.path.dirname(path)), path)

    def node(self, dev):
        self.file("dev/" + dev)

    def device(self, rel, bus, driver=None, attrs=(), numa=None, devname=None, children=()):
        """A device at sys/devices/REL; children: (subsystem, name, devname) or (…, folder in between)."""
        d = "sys/devices/" + rel
        name = os.path.basename(rel)
        self.file(d + "/uevent", f"DEVNAME={devname}\n" if devname else "")
        self.link(d + "/subsystem", "sys/bus/" + bus)
        self.link(f"sys/bus/{bus}/devices/{name}", d)
        if driver:
            self.link(d + "/driver", f"sys/bus/{bus}/drivers/{driver}")
        if numa is not None:
            self.file(d + "/numa_node", f"{numa}\n")
        for k, v in dict(attrs).items():
            self.file(f"{d}/{k}", v if isinstance(v, bytes) else f"{v}\n")
        if devname:
            self.node(devname)
        for c in children:
            self.child(d, *c)
        return d

    def child(self, d, subsystem, name, devname, between=None):
        c = f"{d}/{between or subsystem}/{name}"
        self.file(c + "/uevent", f"MAJOR=1\nMINOR=1\nDEVNAME={devname}\n")
        self.link(c + "/subsystem", "sys/class/" + subsystem)
        self.node(devname)

    def pci(self, addr, vendor, device, cls, driver, root="pci0000:00", above="", group=None, **kw):
        attrs = {"vendor": "0x" + vendor, "device": "0x" + device, "class": "0x" + cls,
                 "subsystem_vendor": "0x" + vendor, "subsystem_device": "0x0001", **dict(kw.pop("attrs", {}))}
        rel = "/".join(x for x in (root, above, addr) if x)
        d = self.device(rel, "pci", driver, attrs, **kw)
        if group is not None:
            self.link(d + "/iommu_group", f"sys/kernel/iommu_groups/{group}")
        return d

    def classes(self, *files):
        for f in files:
            shutil.copy(f, self.path("classes"))

    def numa(self, distances):
        for i, row in enumerate(distances):
            self.file(f"sys/devices/system/node/node{i}/distance", " ".join(map(str, row)) + "\n")

    def env(self, plugin):
        preload = "libumockdev-preload.so.0"
        if "/san/" in plugin:
            preload = subprocess.check_output(["gcc", "-print-file-name=" + LSAN], text=True).strip() + ":" + preload
        return dict(os.environ, LD_PRELOAD=preload, UMOCKDEV_DIR=self.root, ASAN_OPTIONS="detect_leaks=1")

    def argv(self, plugin, *more):
        return [plugin, "--classes", self.path("classes"), "--kubelet-dir", self.path("dp"), "--cdi-dir",
                self.path("cdi"), "--run", self.path("run"), *more]

    def ask(self, plugin, *more):
        """What the plugin prints, and that it says nothing else."""
        r = subprocess.run(self.argv(plugin, *more), env=self.env(plugin), text=True, capture_output=True, timeout=60)
        assert r.returncode == 0 and not r.stderr, f"status {r.returncode}: {r.stderr[-2000:]}"
        return r.stdout

    def close(self):
        shutil.rmtree(self.root)
