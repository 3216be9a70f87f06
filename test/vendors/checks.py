#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each shipped class on a machine with its vendor's devices, as their drivers show them in sysfs.

Prints "ok NAME" or "not ok NAME: why" for each, and "N passed, N failed, N skipped" at the end.
Usage: checks.py PLUGIN GO-PROGRAMS [NAME...]
"""
import glob, json, os, queue, re, signal, socket, subprocess, sys, threading, time
from machine import Machine

PLUGIN, GO = sys.argv[1:3]
ONLY = sys.argv[3:]
SHIPPED = "manifests/classes/"
CHECKS = []


def check(name, *classes):
    def wrap(f):
        CHECKS.append((name, f, classes))
        return f
    return wrap


def eq(have, want):
    assert have == want, f"\n  is   {have!r}\n  want {want!r}"


def listed(m):
    """id, resource, health, NUMA node, device nodes"""
    doc = json.loads(m.ask(PLUGIN, "--list", "--json"))
    for f in doc["files"]:
        assert not f.get("error"), f
    return [(d["id"], d["resourceName"], d["health"], d["numaNode"], d["deviceNodes"]) for d in doc["devices"]]


def expect(m, *want):
    eq(listed(m), sorted(want))


def explained(m, id_):
    doc = json.loads(m.ask(PLUGIN, "--explain", "--json"))
    found = [d for d in doc["devices"] if d["id"] == id_]
    assert len(found) == 1, f"{id_} is not spoken of: {[d['id'] for d in doc['devices']]}"
    return found[0]


# ---- NVIDIA ----
def nvidia(m, addr, minor, numa, device="20b5", uuid=None, info=None, **kw):
    m.pci(addr, "10de", device, "030200", "nvidia", numa=numa,
          children=[("drm", f"renderD{128 + minor}", f"dri/renderD{128 + minor}"), ("drm", f"card{minor}", f"dri/card{minor}")],
          **kw)
    m.node(f"nvidia{minor}")
    if info is None:
        info = (f"Model: \t\t NVIDIA A100\nIRQ:   \t\t 155\nGPU UUID: \t {uuid or 'GPU-e953c3c5-dba7-029e-ce44-7b5141713' + '%03d' % minor}\n"
                f"Bus Type: \t PCIe\nBus Location: \t {addr}\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n")
    m.file(f"proc/driver/nvidia/gpus/{addr}/information", info)


def nvidia_shared(m):
    for n in ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"):
        m.node(n)


@check("nvidia: nodes by the driver's minor, not by address; no audio function, no NVSwitch", "nvidia")
def check_nvidia(m):
    nvidia_shared(m)
    nvidia(m, "0000:17:00.0", 1, 0)
    nvidia(m, "0000:65:00.0", 0, 1)
    m.pci("0000:17:00.1", "10de", "10ef", "040300", "snd_hda_intel", numa=0)
    m.pci("0000:c4:00.0", "10de", "1af1", "068000", "nvidia", numa=1)
    m.pci("0000:b1:00.0", "10de", "1db6", "030200", "nouveau", numa=1)
    expect(m, ("0000:17:00.0", "nvidia.com/gpu", "Healthy", 0, ["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm",
                                                               "/dev/nvidia-uvm-tools", "/dev/dri/renderD129"]),
           ("0000:65:00.0", "nvidia.com/gpu", "Healthy", 1, ["/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm",
                                                            "/dev/nvidia-uvm-tools", "/dev/dri/renderD128"]))
    assert "'nouveau' is bound" in explained(m, "0000:b1:00.0")["why"]


@check("nvidia: without its nodes, or before the driver tells its minor, unhealthy with a reason", "nvidia")
def check_nvidia_early(m):
    nvidia_shared(m)
    nvidia(m, "0000:17:00.0", 0, 0)
    nvidia(m, "0000:65:00.0", 1, 1, info="Model: NVIDIA A100\nDevice Minor: \t\n")
    os.unlink(m.path("dev/nvidia0"))
    eq([(i, h) for i, _, h, _, _ in listed(m)], [("0000:17:00.0", "Unhealthy"), ("0000:65:00.0", "Unhealthy")])
    assert "/dev/nvidia{minor}" in explained(m, "0000:65:00.0")["why"]
    m.node("nvidia0")
    eq([h for _, _, h, _, _ in listed(m)], ["Healthy", "Unhealthy"])


@check("nvidia: the driver's file is read once while it stays bound, and again when it is bound anew", "nvidia")
def check_nvidia_bound(m):
    nvidia_shared(m)
    nvidia(m, "0000:17:00.0", 0, 0)
    info = "proc/driver/nvidia/gpus/0000:17:00.0/information"

    def node():
        try:
            spec = json.load(open(m.path("cdi/farrier.dev-nvidia.json")))
        except OSError:
            return None
        return spec["devices"][0]["containerEdits"]["deviceNodes"][0]["path"]

    def bound_anew(minor):
        link = m.path("sys/devices/pci0000:00/0000:17:00.0/driver")
        os.symlink(os.readlink(link), link + ".new")
        m.file(info, f"Device Minor: {minor}\n")
        os.rename(link + ".new", link)
        m.node(f"nvidia{minor}")
    with Node(m) as n:
        n.list("nvidia.com/gpu", ["0000:17:00.0 Healthy 0"])
        eq(node(), "/dev/nvidia0")
        os.unlink(m.path(info))
        os.mkfifo(m.path(info))  # whoever reads it now hangs
        os.unlink(m.path("dev/nvidia0"))
        n.list("nvidia.com/gpu", ["0000:17:00.0 Unhealthy 0"])  # so it looked, and knew the node
        m.node("nvidia0")
        n.list("nvidia.com/gpu", ["0000:17:00.0 Healthy 0"])
        os.unlink(m.path(info))
        bound_anew(3)
        wait_for("the other node", lambda: node() == "/dev/nvidia3")


@check("nvidia-cdi: NVIDIA's own CDI device by UUID, one not initialised is unhealthy", "nvidia-cdi")
def check_nvidia_cdi(m):
    nvidia(m, "0000:17:00.0", 0, 0)
    nvidia(m, "0000:65:00.0", 1, 1, uuid="GPU-????????-????-????-????-????????????")
    expect(m, ("0000:17:00.0", "nvidia.com/gpu", "Healthy", 0, ["/dev/nvidia0"]),
           ("0000:65:00.0", "nvidia.com/gpu", "Unhealthy", 1, ["/dev/nvidia1"]))
    assert "{uuid}" in explained(m, "0000:65:00.0")["why"]
    with Node(m) as n:
        n.list("nvidia.com/gpu", ["0000:17:00.0 Healthy 0", "0000:65:00.0 Unhealthy 1"])
        eq(n.cdi("nvidia.com/gpu", "0000:17:00.0"),
           ["farrier.dev/nvidia-cdi=0000:17:00.0", "nvidia.com/gpu=GPU-e953c3c5-dba7-029e-ce44-7b5141713000"])


# ---- AMD, Intel ----
def drm(n):
    return [("drm", f"renderD{128 + n}", f"dri/renderD{128 + n}"), ("drm", f"card{n}", f"dri/card{n}")]


@check("amd-gpu: display and accelerator class, kfd for each; ours in vfio-pci is not one", "amd-gpu")
def check_amd(m):
    m.node("kfd")
    m.pci("0000:c1:00.0", "1002", "740f", "038000", "amdgpu", numa=3, children=drm(0))
    m.pci("0000:05:00.0", "1002", "74a1", "120000", "amdgpu", numa=0, children=drm(1))
    m.pci("0000:06:00.0", "1002", "74a1", "120000", "vfio-pci", numa=0)
    m.pci("0000:c1:00.1", "1002", "ab28", "040300", "snd_hda_intel", numa=3)
    expect(m, ("0000:05:00.0", "amd.com/gpu", "Healthy", 0, ["/dev/dri/renderD129", "/dev/dri/card1", "/dev/kfd"]),
           ("0000:c1:00.0", "amd.com/gpu", "Healthy", 3, ["/dev/dri/renderD128", "/dev/dri/card0", "/dev/kfd"]))
    assert "'vfio-pci' is bound" in explained(m, "0000:06:00.0")["why"]


@check("intel-gpu: i915 and xe are two resources, virtual functions are GPUs", "intel-gpu")
def check_intel_gpu(m):
    m.pci("0000:00:02.0", "8086", "9a49", "030000", "i915", numa=-1, children=drm(0))
    m.pci("0000:4d:00.0", "8086", "56c0", "038000", "i915", numa=0, children=drm(1), attrs={"sriov_numvfs": "1"})
    d = m.pci("0000:4d:00.1", "8086", "56c0", "038000", "i915", numa=0, children=drm(2))
    m.link(d + "/physfn", "sys/devices/pci0000:00/0000:4d:00.0")
    m.pci("0000:03:00.0", "8086", "e20b", "030000", "xe", numa=1, children=drm(3))
    expect(m, ("0000:00:02.0", "gpu.intel.com/i915", "Healthy", -1, ["/dev/dri/renderD128", "/dev/dri/card0"]),
           ("0000:4d:00.0", "gpu.intel.com/i915", "Healthy", 0, ["/dev/dri/renderD129", "/dev/dri/card1"]),
           ("0000:4d:00.1", "gpu.intel.com/i915", "Healthy", 0, ["/dev/dri/renderD130", "/dev/dri/card2"]),
           ("0000:03:00.0", "gpu.intel.com/xe", "Healthy", 1, ["/dev/dri/renderD131", "/dev/dri/card3"]))


@check("intel-gaudi: /dev/accel and the control node; verbs of its own NICs", "intel-gaudi")
def check_gaudi(m):
    d = m.pci("0000:33:00.0", "1da3", "1020", "120000", "habanalabs", numa=0,
              children=[("accel", "accel0", "accel/accel0"), ("accel", "accel_controlD0", "accel/accel_controlD0")])
    m.child(d + "/habanalabs.ib.0", "infiniband_verbs", "uverbs3", "infiniband/uverbs3")
    m.pci("0000:9a:00.0", "1da3", "1060", "120000", "habanalabs", numa=1, children=[("accel", "accel1", "accel/accel1")])
    expect(m, ("0000:33:00.0", "habana.ai/gaudi", "Healthy", 0, ["/dev/accel/accel0", "/dev/accel/accel_controlD0",
                                                                "/dev/infiniband/uverbs3"]),
           ("0000:9a:00.0", "habana.ai/gaudi", "Healthy", 1, ["/dev/accel/accel1"]))


# ---- Huawei ----
@check("huawei-ascend: davinciN from the driver's table, a resource for each family", "huawei-ascend")
def check_ascend(m):
    table = "c1:00.0 ---> 3\n0000:81:00.0 ---> 0\n01:00.0 ---> 7\n41:00.0 ---> 5\n"
    shared = ["davinci_manager", "devmm_svm", "hisi_hdc"]
    for n in shared + ["davinci0", "davinci3", "davinci5", "davinci7"]:
        m.node(n)
    for addr, dev, numa in (("0000:c1:00.0", "d802", 6), ("0000:81:00.0", "d801", 4), ("0000:01:00.0", "d500", 0),
                            ("0000:41:00.0", "d100", 1), ("0000:42:00.0", "d100", 1)):
        m.pci(addr, "19e5", dev, "120000", "devdrv_device_driver", numa=numa,
              attrs={"devdrv_sysfs_bdf_to_devid": table.encode()})
    nodes = ["/dev/" + n for n in shared]
    expect(m, ("0000:c1:00.0", "huawei.com/Ascend910", "Healthy", 6, ["/dev/davinci3"] + nodes),
           ("0000:81:00.0", "huawei.com/Ascend910", "Healthy", 4, ["/dev/davinci0"] + nodes),
           ("0000:01:00.0", "huawei.com/Ascend310P", "Healthy", 0, ["/dev/davinci7"] + nodes),
           ("0000:41:00.0", "huawei.com/Ascend310", "Healthy", 1, ["/dev/davinci5"] + nodes),
           ("0000:42:00.0", "huawei.com/Ascend310", "Unhealthy", 1, nodes))  # not in the table yet


# ---- FPGAs ----
@check("xilinx-fpga: a resource for each shell; the management function stays on the host", "xilinx-fpga")
def check_xilinx(m):
    for bus, shell, stamp in (("d8", "xilinx_u250_gen3x16_xdma_shell_3_1", "0"), ("5e", "xilinx_u200_xdma_201830_2", "1561465320")):
        n = 0 if bus == "d8" else 1
        m.pci(f"0000:{bus}:00.0", "10ee", "5000", "120000", "xclmgmt", numa=n,
              children=[("xclmgmt", f"xclmgmt{n}", f"xclmgmt{n}")])
        m.pci(f"0000:{bus}:00.1", "10ee", "5001", "120000", "xocl", numa=n, children=drm(n),
              attrs={"rom.u.2097152/VBNV": shell, "rom.u.2097152/timestamp": stamp})
    m.pci("0000:3b:00.1", "10ee", "5001", "120000", "xocl", numa=0, children=drm(2))
    expect(m, ("0000:d8:00.1", "xilinx.com/fpga-xilinx_u250_gen3x16_xdma_shell_3_1-0", "Healthy", 0, ["/dev/dri/renderD128"]),
           ("0000:5e:00.1", "xilinx.com/fpga-xilinx_u200_xdma_201830_2-1561465320", "Healthy", 1, ["/dev/dri/renderD129"]),
           ("0000:3b:00.1", "", "Healthy", 0, ["/dev/dri/renderD130"]))
    assert "'shell'" in explained(m, "0000:3b:00.1")["why"]


AFU = "d8424dc4a4a3c413f89e433683f9040b"
REGION = "ce48969398f05f33946d560708be108a"


def dfl(m, addr, n, numa, afu=AFU, region=REGION):
    """As dfl-pci, dfl-fme and dfl-afu make it: two platform devices below the card's FPGA region."""
    above = m.pci(addr, "8086", "09c4", "120000", "dfl-pci", numa=numa)[len("sys/devices/"):] + f"/fpga_region/region{2 * n}"
    m.device(f"{above}/dfl-fme.{n}", "platform", "dfl-fme", devname=f"dfl-fme.{n}",
             attrs={f"dfl-fme-region.{9 + n}/fpga_region/region{2 * n + 1}/compat_id": region, "ports_num": "1"})
    m.device(f"{above}/dfl-port.{n}", "platform", "dfl-port", devname=f"dfl-port.{n}", attrs={"afu_id": afu})


def platform_noise(m):
    for i in range(3):
        m.device(f"platform/other.{i}", "platform", driver=("serial8250" if i else None))


@check("intel-fpga-af: ports by AFU id, on the card's NUMA node", "intel-fpga-af")
def check_fpga_af(m):
    platform_noise(m)
    dfl(m, "0000:3b:00.0", 0, 0)
    dfl(m, "0000:af:00.0", 1, 1, afu="f7df405cbd7acf7222f144b0b93acd18")
    dfl(m, "0000:b0:00.0", 2, 1, afu="")
    expect(m, ("dfl-port.0", f"fpga.intel.com/af-{AFU}", "Healthy", 0, ["/dev/dfl-port.0"]),
           ("dfl-port.1", "fpga.intel.com/af-f7df405cbd7acf7222f144b0b93acd18", "Healthy", 1, ["/dev/dfl-port.1"]),
           ("dfl-port.2", "", "Healthy", 1, ["/dev/dfl-port.2"]))
    doc = json.loads(m.ask(PLUGIN, "--list", "--json"))
    eq([d["pcieRoot"] for d in doc["devices"]], ["pci0000:00"] * 3)


@check("intel-fpga-region: ports by what their region takes", "intel-fpga-region")
def check_fpga_region(m):
    platform_noise(m)
    dfl(m, "0000:3b:00.0", 0, 0)
    dfl(m, "0000:af:00.0", 1, 1, region="69528db6eb31577a8c3668f9faa081f6")
    expect(m, ("dfl-port.0", f"fpga.intel.com/region-{REGION}", "Healthy", 0, ["/dev/dfl-port.0"]),
           ("dfl-port.1", "fpga.intel.com/region-69528db6eb31577a8c3668f9faa081f6", "Healthy", 1, ["/dev/dfl-port.1"]))


# ---- Coral, VFIO ----
@check("google-coral: PCI and USB are one resource; one without firmware is none", "google-coral")
def check_coral(m):
    m.pci("0000:02:00.0", "1ac1", "089a", "0880ff", "apex", numa=0, children=[("apex", "apex_0", "apex_0")])
    usb = "pci0000:00/0000:00:14.0/usb2"
    m.pci("0000:00:14.0", "8086", "a36d", "0c0330", "xhci_hcd", numa=1)
    for name, vendor, product, n in (("2-1", "18d1", "9302", 4), ("2-2", "1a6e", "089a", 5), ("2-3", "046d", "c52b", 6)):
        m.device(f"{usb}/{name}", "usb", "usb", devname=f"bus/usb/002/{n:03}", attrs={"idVendor": vendor, "idProduct": product})
        m.device(f"{usb}/{name}/{name}:1.0", "usb")
    expect(m, ("0000:02:00.0", "farrier.dev/coral", "Healthy", 0, ["/dev/apex_0"]),
           ("2-1", "farrier.dev/coral", "Healthy", 1, ["/dev/bus/usb/002/004"]))


@check("vfio: by the group of each device; what has no driver is nobody's", "vfio")
def check_vfio(m):
    for n in ("vfio/vfio", "vfio/12", "vfio/47"):
        m.node(n)
    m.pci("0000:17:00.0", "10de", "20b5", "030200", "vfio-pci", numa=0, group=47)
    m.pci("0000:18:00.0", "8086", "1572", "020000", "vfio-pci", numa=0, group=12)
    m.pci("0000:19:00.0", "8086", "1572", "020000", "vfio-pci", numa=0, group=13)  # its node is not there
    m.pci("0000:00:00.0", "8086", "3e30", "060000", None, numa=0, group=0)
    m.pci("0000:1a:00.0", "10de", "20b5", "030200", None, numa=0, group=48)
    m.pci("0000:1b:00.0", "10de", "20b5", "030200", "nvidia", numa=0, group=49)
    expect(m, ("0000:17:00.0", "farrier.dev/vfio-10de-20b5", "Healthy", 0, ["/dev/vfio/47", "/dev/vfio/vfio"]),
           ("0000:18:00.0", "farrier.dev/vfio-8086-1572", "Healthy", 0, ["/dev/vfio/12", "/dev/vfio/vfio"]),
           ("0000:19:00.0", "farrier.dev/vfio-8086-1572", "Unhealthy", 0, ["/dev/vfio/vfio"]))


# ---- all of them ----
@check("all classes together: no two of them are one name, each says what it matches")
def check_all(m):
    m.classes(*glob.glob(SHIPPED + "*.yaml"))
    doc = json.loads(m.ask(PLUGIN, "--list", "--json"))
    eq([f["error"] for f in doc["files"] if f.get("error")], [])
    names = [c["name"] for c in doc["classes"]]
    eq(len(names), len(set(names)))
    for f in glob.glob(SHIPPED + "*.yaml"):
        name = os.path.basename(f)[:-len(".yaml")]
        assert name == "edu" or any(name in classes for _, _, classes in CHECKS), f"{f} has no check of its own"


@check("hostile sysfs: long, binary, endless and climbing values are refused, others go on", "nvidia", "xilinx-fpga", "intel-fpga-af")
def check_hostile(m):
    nvidia_shared(m)
    bad = ["Device Minor: ../../etc/shadow\n", "Device Minor: 99999999999999999999999999999999\n", "\0\0\0", "Device Minor: 0x1\n",
           "x" * 200000, "\n" * 70000 + "Device Minor: 1\n", "Device Minor: 1" * 5000, "\xff\xfe"]
    for i, text in enumerate(bad):
        nvidia(m, f"0000:{0x20 + i:02x}:00.0", 100 + i, i % 2, info=text)
    m.node("nvidia0")
    os.mkdir(m.path("proc/driver/nvidia/gpus/0000:60:00.0"))
    m.pci("0000:60:00.0", "10de", "20b5", "030200", "nvidia", numa=0)
    os.mkfifo(m.path("proc/driver/nvidia/gpus/0000:60:00.0/information"))  # reading it would hang
    nvidia(m, "0000:17:00.0", 7, 0)
    for i, name in enumerate(["a" * 300, "../..", "a b", "", "a/b", "{shell}", "-x", "x" * 128]):
        m.pci(f"0000:{0x80 + i:02x}:00.1", "10ee", "5001", "120000", "xocl", numa=99, children=drm(20 + i),
              attrs={"rom.u.1/VBNV": name, "rom.u.1/timestamp": "0"})
    dfl(m, "0000:c0:00.0", 0, -7, afu="\xff" * 16)
    dfl(m, "0000:c1:00.0", 1, 0, afu=AFU.upper())
    os.symlink("loop", m.path("sys/bus/pci/devices/0000:f0:00.0"))
    os.symlink("../../../devices/pci0000:00", m.path("sys/bus/pci/devices/0000:f1:00.0"))
    have = {i: (r, h) for i, r, h, _, _ in listed(m)}
    eq(have["0000:17:00.0"], ("nvidia.com/gpu", "Healthy"))
    eq([i for i, (r, h) in have.items() if h == "Healthy" and r], ["0000:17:00.0"])
    assert len(have) == len(bad) + 2 + 8 + 2, have.keys()
    m.ask(PLUGIN, "--explain")


# ---- a whole node ----
def listen(m, name):
    s = socket.socket(socket.AF_UNIX)
    s.bind(m.path("dp", name))
    s.listen(8)
    return s


def forget(m, name, s):
    s.close()
    os.unlink(m.path("dp", name))


def wait_for(what, pred, timeout=60):
    end = time.time() + timeout
    while not pred():
        assert time.time() < end, f"{what}: not within {timeout} s"
        time.sleep(0.05)


def served_by(m):
    try:
        return json.load(open(m.path("run/devices.json")))["devices"][0].get("servedBy")
    except OSError:
        return None


class Node:
    """The plugin and a kubelet's plugin server over one machine; `between` is called when the latter is there."""

    def __init__(self, m, between=lambda: None):
        self.lines = queue.Queue()
        self.stub = subprocess.Popen([GO + "/kubeletstub", m.path("dp")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, text=True, bufsize=1)
        threading.Thread(target=self.read, daemon=True).start()
        try:
            self.until("the kubelet", lambda o: o.get("event") == "started")  # it has emptied its folder
            between()
        except BaseException:
            self.stub.kill()
            raise
        self.log = open(m.path("log"), "w+")
        self.plugin = subprocess.Popen(m.argv(PLUGIN), env=m.env(PLUGIN), stderr=self.log)

    def read(self):
        for line in self.stub.stdout:
            self.lines.put(json.loads(line))
        self.lines.put({"event": "end"})

    def until(self, what, pred, timeout=60):
        end = time.time() + timeout
        seen = []
        while time.time() < end:
            try:
                o = self.lines.get(timeout=max(0.01, end - time.time()))
            except queue.Empty:
                break
            seen.append(o)
            if pred(o):
                return o
        raise AssertionError(f"{what}: not within {timeout} s; last: {seen[-3:]}")

    def list(self, resource, devices):
        want = sorted(devices)
        self.until(f"list of {resource}", lambda o: o.get("event") == "list" and o["resource"] == resource
                   and sorted(o["devices"] or []) == want)

    def answer(self, text):
        self.stub.stdin.write(text + "\n")
        o = self.until(text, lambda o: o.get("event") in ("answer", "error"))
        assert o["event"] == "answer", o
        return o["answer"]

    def cdi(self, resource, id_):
        """Names of the CDI devices that a container gets for one device."""
        return [d["name"] for d in self.answer(f"allocate {resource} {id_}")[0]["cdi_devices"]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.plugin.send_signal(signal.SIGTERM)
        rc = self.plugin.wait(60)
        self.stub.kill()
        self.stub.wait()
        self.log.seek(0)
        text = self.log.read()
        self.log.close()
        assert rc == 0 and "ERROR: " not in text and "runtime error" not in text, f"status {rc}: {text[-3000:]}"


@check("eight GPUs on two sockets, two to a switch: nearest together, each with its NUMA node", "nvidia")
def check_eight(m):
    m.numa([[10, 21], [21, 10]])
    nvidia_shared(m)
    gpus = []
    for socket in range(2):
        for switch in range(2):
            for k in range(2):
                bus = 0x10 + 0x40 * socket + 0x10 * switch + k
                gpus.append(f"0000:{bus:02x}:00.0")
                nvidia(m, gpus[-1], 7 - (len(gpus) - 1), socket, root=f"pci0000:{0x0f + 0x40 * socket:02x}",
                       above=f"0000:{0x0f + 0x40 * socket:02x}:01.0/0000:{0xa0 + 4 * socket + switch:02x}:00.0")
    with Node(m) as n:
        n.list("nvidia.com/gpu", [f"{g} Healthy {i // 4}" for i, g in enumerate(gpus)])
        all_ = ",".join(gpus)
        prefer = lambda k, avail, must="-": n.answer(f"preferred nvidia.com/gpu {k} {avail} {must}")
        eq(prefer(2, all_), ",".join(gpus[:2]))
        eq(prefer(4, all_), ",".join(gpus[:4]))
        eq(prefer(2, all_, gpus[5]), ",".join(gpus[4:6]))
        eq(prefer(2, ",".join([gpus[0], gpus[2], gpus[4], gpus[6]])), f"{gpus[0]},{gpus[2]}")
        eq(prefer(4, ",".join(gpus[1:])), ",".join(gpus[4:]))
        eq(prefer(8, all_), all_)
        # The node of each follows the driver's own number, which runs against the addresses.
        eq(n.cdi("nvidia.com/gpu", gpus[0]), [f"farrier.dev/nvidia={gpus[0]}"])
        spec = json.load(open(m.path("cdi", "farrier.dev-nvidia.json")))
        eq({d["name"]: d["containerEdits"]["deviceNodes"][0]["path"] for d in spec["devices"]},
           {g: f"/dev/nvidia{7 - i}" for i, g in enumerate(gpus)})


def ours(m):
    return glob.glob(m.path("dp/farrier-*.sock"))


@check("another plugin serves the name: left to it with a reason, taken when it is gone", "nvidia")
def check_yields(m):
    nvidia_shared(m)
    nvidia(m, "0000:17:00.0", 0, 0)
    others = []

    def another():
        others.append(listen(m, "some-plugin.sock"))
        m.file("dp/kubelet_internal_checkpoint", json.dumps({"Data": {"PodDeviceEntries": [], "RegisteredDevices": {
            "nvidia.com/gpu": ["GPU-e953c3c5-dba7-029e-ce44-7b51417131df"]}}, "Checksum": 1}))
    with Node(m, another) as n:
        wait_for("yields", lambda: served_by(m))
        x = explained(m, "0000:17:00.0")
        assert not x["allocatable"] and "another plugin serves 'nvidia.com/gpu'" in x["why"] and "GPU-e953" in x["why"], x
        eq((x["health"], x["reason"]), ("Healthy", "Conflict"))
        eq(ours(m), [])
        forget(m, "some-plugin.sock", others[0])
        n.list("nvidia.com/gpu", ["0000:17:00.0 Healthy 0"])
        eq(served_by(m), None)


@check("another plugin takes the name: not fought for, taken again when it is gone", "nvidia")
def check_taken(m):
    nvidia_shared(m)
    nvidia(m, "0000:17:00.0", 0, 0)
    with Node(m) as n:
        n.list("nvidia.com/gpu", ["0000:17:00.0 Healthy 0"])
        other = listen(m, "nvidia-gpu.sock")
        n.answer("disconnect nvidia.com/gpu")  # as the kubelet does when another one registers
        wait_for("yields", lambda: served_by(m))
        wait_for("our socket goes", lambda: not ours(m))
        assert not [o for o in list(n.lines.queue) if o.get("event") == "connected"], "it was fought for"
        forget(m, "nvidia-gpu.sock", other)
        n.list("nvidia.com/gpu", ["0000:17:00.0 Healthy 0"])


@check("the manual page and --help name the same options")
def check_manual(m):
    text = subprocess.run([PLUGIN, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    page = open("man/farrier-device-plugin.8").read().replace("\\-", "-")
    options = page[page.index(".SH OPTIONS"):page.index(".SH EXIT STATUS")]
    told = set(re.findall(r"^\.BI? (--[a-z-]+)", options, re.M))
    eq(told, set(re.findall(r"(--[a-z-]+)", text)))
    for name, what in re.findall(r"^  (--[a-z-]+) ([A-Z]+)", text, re.M):  # and the same arguments
        assert f'.BI {name} " {what}"' in options, name


def main():
    passed = failed = 0
    for name, f, classes in CHECKS:
        if ONLY and not any(o in name for o in ONLY):
            continue
        m = Machine()
        try:
            m.classes(*(SHIPPED + c + ".yaml" for c in classes))
            f(m)
            print("ok", name, flush=True)
            passed += 1
        except (AssertionError, OSError, LookupError, TypeError, ValueError, subprocess.SubprocessError) as e:
            print(f"not ok {name}: {type(e).__name__} {e}", flush=True)
            failed += 1
        finally:
            m.close()
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0 or passed == 0)


main()
