#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Writes the first seeds of the fuzz targets into test/fuzz/corpus; what fuzzing found is beside them and is kept.
import gzip, io, json, lzma, os, struct, tarfile

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def put(what, name, data):
    os.makedirs(os.path.join(here, what), exist_ok=True)
    with open(os.path.join(here, what, name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


# --- manifests ---
CLASS = """apiVersion: farrier.dev/v1alpha1
kind: AcceleratorClass
metadata: { name: edu, labels: { a: b } }
spec:
  match:
    - { bus: PCI, vendor: "1234", device: "11e8", driver: edu, class: "0302" }
  resourceName: farrier.dev/edu
  deviceNodes: [ { subsystem: edu, permissions: rw }, { path: /dev/eductl } ]
  mounts: [ { hostPath: /opt/a, containerPath: /opt/b, readOnly: false } ]
  env: { MODE: "1" }
  cdi: false
  sharing: { strategy: TimeSlice, timeSlice: { replicas: 4, maxPerRequest: 2 } }
  health: { pciLink: true, aer: true, file: health/edu }
  topology: { prefer: [ numa, pcieRoot ] }
"""
DRIVER = """apiVersion: farrier.dev/v1alpha1
kind: AcceleratorDriver
metadata: { name: edu }
spec:
  version: "1.0"
  nodeSelector:
    matchLabels: { pool: a }
    matchExpressions: [ { key: zone, operator: In, values: [ x, y ] }, { key: k, operator: Exists } ]
  devices: [ { bus: PCI, vendor: "1234", device: "11e8" } ]
  source: { type: Inline, inline: { files: { Makefile: "obj-m := edu.o", edu.c: "" } } }
  build:
    system: Kbuild
    toolchain: Host
    makeArgs: [ V=1 ]
    timeoutSeconds: 60
    memory: 1Gi
    prebuild: false
    extraKernels: [ 6.1.0-99-amd64 ]
    kernels: [ { regexp: "^6", makeArgs: [ A=b ] } ]
  modules: [ { name: edu, parameters: { debug: "1" }, replaces: [ old ] } ]
  firmware: [ edu/fw.bin ]
  signing: { mode: Secret, secretRef: key }
  onUnbuildable: KeepLastGood
  deletionPolicy: Unload
  upgradePolicy:
    autoUpgrade: false
    maxParallelUpgrades: 3
    maxUnavailable: 50%
    waitForCompletion: { podSelector: { matchLabels: { a: b } }, timeoutSeconds: 5 }
    podDeletion: { force: true, timeoutSeconds: 300, deleteEmptyDir: true }
    drain: { enable: true, force: true, timeoutSeconds: 300 }
    validationTimeoutSeconds: 60
    rebootRequired: true
    rollbackOnFailure: false
"""
for kind, member in [("Host", "host: { path: /usr/src/edu-1.0 }"), ("OCI", "oci: { image: a.b/c@sha256:" + "0" * 64 + " }"),
                     ("ConfigMap", "configMap: { name: x }"),
                     ("HTTP", "http: { url: https://a.b/c.tar, sha256: " + "0" * 64 + " }")]:
    put("manifest", "driver-" + kind.lower(), DRIVER.split("  nodeSelector")[0] +
        "  devices: [ { bus: PCI, vendor: \"1234\" } ]\n  source: { type: " + kind + ", " + member + " }\n  modules: [ { name: edu } ]\n")
put("manifest", "class", CLASS)
put("manifest", "driver", DRIVER)
put("manifest", "both", DRIVER + "---\n" + CLASS)
put("classes", "class", b"\0" + CLASS.encode())
put("classes", "two", b"\0" + (CLASS + "---\n" + CLASS.replace("name: edu", "name: b")).encode())
spec = {"match": [{"bus": "PCI", "vendor": "1234"}], "resourceName": "farrier.dev/j"}
put("classes", "json", b"\1" + json.dumps({"apiVersion": "farrier.dev/v1alpha1", "kind": "AcceleratorClass",
                                           "metadata": {"name": "j"}, "spec": spec}).encode())
node = {"apiVersion": "farrier.dev/v1alpha1", "kind": "AcceleratorNode", "metadata": {"name": "n", "generation": 3},
        "spec": {"drivers": [{"name": "edu", "generation": 2, "proceedGeneration": 2, "unload": False, "spec": {
            "version": "1", "devices": [{"bus": "PCI", "vendor": "1234"}], "source": {"type": "Host", "host": {"path": "/usr/src/e"}},
            "modules": [{"name": "edu"}]}}, {"name": "old", "unload": True}],
            "classes": [{"name": "edu", "spec": spec}],
            "upgrade": {"state": "drain-required", "since": 5, "target": "edu@2", "reason": "X", "message": "m"}},
        "status": {"observedGeneration": 3, "bootID": "b", "kernel": "6.1.0-56", "agentVersion": "0.1", "nextKernel": "6.1.0-57",
                   "nextKernelState": "Ready", "driversDesired": 1, "driversReady": 1, "reason": "r", "message": "m",
                   "hardware": ["pci:1234:11e8"],
                   "kernels": [{"release": "6.1.0-56", "running": True, "next": False,
                                "drivers": [{"name": "edu", "state": "Ready", "artifact": "a", "buildSeconds": 3}]}],
                   "drivers": [{"name": "edu", "generation": 2, "state": "Loaded", "version": "1", "loadedVersion": "1",
                                "devices": 1, "bound": 1}],
                   "devices": [{"id": "0000:21:00.0", "bus": "pci", "vendor": "1234", "device": "11e8", "driver": "edu",
                                "numaNode": -1, "health": "Healthy", "resourceName": "farrier.dev/edu", "class": "edu"}],
                   "conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "m",
                                   "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3}]}}
put("node", "node", json.dumps(node))
put("node", "spec", json.dumps({k: v for k, v in node.items() if k != "status"}))
put("node", "least", json.dumps({k: v for k, v in node.items() if k not in ("status", "spec")}))

# --- YAML, JSON, streams of it ---
put("yaml", "class", CLASS)
put("yaml", "types", "a: ~\nb: [ 1, -2, 3.5, 1e5, 0123, yes, true, false, null, 0x1f, '1' ]\nc: |\n  x\n  y\nd: >-\n  p\n  q\n")
put("yaml", "docs", "--- 1\n---\n---\n\"\\u00e4\\x41\\n\"\n...\n--- {a: [b, {c: d}]}\n")
put("yaml", "refused", "a: &x 1\nb: *x\n")
put("yaml", "tag", "!!str 1\n")
put("yaml", "twice", "{a: 1, a: 2}")
put("yaml", "deep", "[" * 70)
put("json", "types", '{"a":[1,-2,3.5,1e5,true,false,null,"x\\u00e4\\n\\/\\ud83d\\ude00"],"b":{},"c":[],"d":9223372036854775807}')
put("json", "numbers", "[0,-0,1e-300,123456789012345678901234567890,0.1,-9223372036854775808,1E+2]")
put("json", "deep", "[" * 64 + "]" * 64)
put("json", "twice", '{"a":1,"a":2}')
put("json", "zero", '"\\u0000"')
event = {"type": "ADDED", "object": {"metadata": {"name": "a", "managedFields": [{"a": 1}]}, "status": {"images": [1], "b": 2}}}
item = event["object"]
put("frame", "lines", b"\0\7" + (json.dumps(event) + "\n" + json.dumps(item)).encode())
put("frame", "list", b"\1\3" + json.dumps({"kind": "List", "metadata": {"resourceVersion": "5", "continue": "x\\n"},
                                           "items": [item, {}, item]}).encode())
put("frame", "strings", b"\0\1" + b'{"a\\"b":"\\\\","metadata":{"managedFields":{"x":["]"]},"z":1}}')

# --- the host ---
put("symvers", "plain", "0x00000007\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n0xfedcba98\tkfree\tvmlinux\tEXPORT_SYMBOL_GPL\tNS\n")
put("symvers", "old", "0x11111111\tprintk\tvmlinux\tEXPORT_SYMBOL\n\n0x1\tprintk\tm\tE")
put("symvers", "bad", "0x1ffffffff\ta\tb\tc\n")
head = "PACKAGE_NAME[0]=p|PACKAGE_VERSION[0]=1.0|BUILT_MODULE_NAME[0]=m|DEST_MODULE_LOCATION[0]=/updates|"
for name, more in {"least": "", "make": "MAKE[0]=make all|MAKE[1]=b|MAKE_MATCH[1]=^6\\.1|CLEAN[0]=make clean|",
                   "names": "BUILT_MODULE_NAME[1]=b|BUILT_MODULE_LOCATION[0]=./src//|DEST_MODULE_NAME[1]=c|STRIP[0]=no|",
                   "patches": "PATCH[0]=a.patch|PATCH[1]=b.patch|PATCH_MATCH[1]=6\\.[0-9]+|PRE_BUILD[0]=x.sh|POST_BUILD[0]=y|",
                   "only": "BUILD_EXCLUSIVE_KERNEL[0]=^(5\\.|6\\.1)|BUILD_EXCLUSIVE_ARCH[0]=x86_64|BUILD_EXCLUSIVE_CONFIG[0]=CONFIG_USB !CONFIG_RT|",
                   "range": "BUILD_EXCLUSIVE_KERNEL_MIN[0]=5.15|BUILD_EXCLUSIVE_KERNEL_MAX[0]=6.1.0-100|OBSOLETE_BY[0]=7-rc1|",
                   "later": "BUILD_DEPENDS[0]=q|", "out": "BUILT_MODULE_LOCATION[0]=a/../../b|"}.items():
    put("dkms", name, (head + more).replace("|", "\0") if "KERNEL" not in more else
        head.replace("|", "\0") + more.replace("(5\\.|6", "(5\\.\x01" + "6").replace("|", "\0").replace("\x01", "|"))


def tar(*members, fmt=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as t:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type, info.mtime, info.mode = kind, 1, 0o6755
            info.size = len(text) if kind == tarfile.REGTYPE else 0
            info.linkname = text if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            t.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
good = tar(("d/", tarfile.DIRTYPE, ""), ("d/a.c", FILE, "int a;"), ("d/b", LINK, "a.c"), ("d/h", HARD, "d/a.c"))
put("archive", "plain", good)
put("archive", "gz", gzip.compress(good, mtime=0))
put("archive", "xz", lzma.compress(good))
put("archive", "gnu", tar(("x" * 120 + "/y", FILE, "1"), ("l", LINK, "z" * 110), fmt=tarfile.GNU_FORMAT))
put("archive", "pax", tar(("d/\u00e9", FILE, "1"), ("x" * 120, FILE, "2")))
put("archive", "links", tar(("a/l", LINK, "../b/l"), ("b/l", LINK, "../a/l"), ("b/up", LINK, "..")))
put("archive", "out", tar(("a/l", LINK, "../../x"), ("../x", FILE, ""), ("/x", FILE, "")))
put("archive", "twice", tar(("l", LINK, "d"), ("l/x", FILE, "1"), ("x", FILE, ""), ("x", tarfile.FIFOTYPE, "")))


# --- Debian packages: an ar archive whose third member is the archive of the files ---
def member(name, data, size=None):
    size = len(data) if size is None else size
    return b"%-16s%-12d%-6d%-6d%-8s%-10s`\n" % (name, 1, 0, 0, b"100644", str(size).encode()) + data + b"\n" * (len(data) % 2)


def deb(*members):
    return b"!<arch>\n" + member(b"debian-binary", b"2.0\n") + member(b"control.tar.gz", b"-") + b"".join(members)


def zst(data):  # one frame, one block that is stored as it is
    return struct.pack("<IBI", 0xfd2fb528, 0xa0, len(data)) + struct.pack("<I", len(data) << 3 | 1)[:3] + data


short = good.rstrip(b"\0") + bytes(-len(good.rstrip(b"\0")) % 512 + 1024)  # tarfile fills up to 10 KiB
gz, xz = gzip.compress(short, mtime=0), lzma.compress(short)
put("archive", "deb", deb(member(b"data.tar", short)))
put("archive", "deb-gz", deb(member(b"data.tar.gz", gz)))
put("archive", "deb-xz", deb(member(b"data.tar.xz", xz)))
put("archive", "deb-zst", deb(member(b"data.tar.zst", zst(short))))
put("archive", "deb-cut", deb(member(b"data.tar.xz", xz))[:-60])
put("archive", "deb-cut-plain", deb(member(b"data.tar", short))[:-1536])
put("archive", "deb-cut-head", deb(member(b"data.tar.gz", gz)[:40]))
put("archive", "deb-long", deb(member(b"data.tar.gz", gz, 9999999999)))
put("archive", "deb-short", deb(member(b"data.tar.gz", gz, len(gz) // 2)))
put("archive", "deb-negative", deb(member(b"data.tar.gz", gz, -5)))
put("archive", "deb-no-size", deb(member(b"data.tar.gz", gz, "0x1f")))
put("archive", "deb-none", deb())
put("archive", "deb-many", deb(*[member(b"x", b"")] * 20, member(b"data.tar.gz", gz)))
put("archive", "deb-names", deb(member(b"//", b"data.tar.gz/\n"), member(b"/0", gz)))
put("archive", "deb-no-names", deb(member(b"/7", gz)))
put("archive", "deb-end", deb(member(b"data.tar.gz", gz).replace(b"`", b"'", 1)))
put("archive", "deb-empty", deb(member(b"data.tar", b"")))

put("kubeconfig", "token", """current-context: c
contexts: [ { name: c, context: { cluster: k, user: u, namespace: ns } } ]
clusters: [ { name: k, cluster: { server: "https://127.0.0.1:6443/", certificate-authority: ca.pem } } ]
users: [ { name: u, user: { token: abc, tokenFile: tok } } ]
""")
put("kubeconfig", "certs", """apiVersion: v1
kind: Config
current-context: c
contexts: [ { name: c, context: { cluster: k, user: u } } ]
clusters: [ { name: k, cluster: { server: "http://localhost:80/a", certificate-authority-data: LS0tLS1CRUdJTg== } } ]
users: [ { name: u, user: { client-certificate-data: LS0t, client-key-data: LS0t, exec: null } } ]
""")
put("kubeconfig", "near", "current-context: c\ncontexts: [ { name: c, context: { cluster: k, user: u } } ]\n"
    "clusters: [ { name: k, cluster: { server: \"http://127.0.0.1.evil/\" } } ]\nusers: [ { name: u, user: { token: abc } } ]\n")
put("kubeconfig", "no-host", "current-context: c\ncontexts: [ { name: c, context: { cluster: k } } ]\n"
    "clusters: [ { name: k, cluster: { server: \"https://\" } } ]\n")
for i, w in enumerate(["2Gi", "500M 1e3 1.5", "6.1.0-9 6.1.0-47 6.12~rc1", "6.12~rc1 6.12 6.12.0-1-amd64", "pci:1234:11e8",
                       "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456Z", "CONFIG_X=y\nCONFIG_XY=m\nCONFIG_X=\"a b\"",
                       "100%25 \u00e4\n", "a%zz%4"]):
    put("words", str(i), w)
KUBELET = "kind: KubeletConfiguration\ntopologyManagerPolicy: restricted\ncpuManagerPolicy: static\nmemoryManagerPolicy: None\n"
for i, w in enumerate(["16.0 GT/s PCIe", "Unknown speed", "0x0", "Undefined 0\nDLP 2\nTOTAL_ERR_FATAL 3\n", KUBELET,
                       "/usr/bin/kubelet\0--config=/etc/k.yaml\0--topology-manager-policy\0restricted\0",
                       "/usr/local/bin/k3s server\0--kubelet-arg=cpu-manager-policy=static\0--kubelet-arg\0config-dir=/b\0",
                       "1\trestricted\tpod\tstatic\tNone\t/etc/k.yaml",
                       '{"version":1,"devices":[{"id":"a","health":"Unhealthy","reason":"DeviceIll","message":"it is so"}]}']):
    put("signs", str(i), w)


def module(info, symbols, signed=False, ext=False):
    names, body, sections = b"\0", bytearray(64), [bytes(64)]

    def section(name, kind, data, link=0, size=0):
        nonlocal names
        sections.append(struct.pack("<IIQQQQIIQQ", len(names), kind, 0, 0, len(body), len(data), link, 0, 0, size))
        names += name + b"\0"
        body.extend(data)
    section(b".gnu.linkonce.this_module", 1, b"0123456789abcdef")
    section(b".modinfo", 1, b"\0".join(info) + b"\0")
    section(b"__versions", 1, b"".join(struct.pack("<Q56s", c, n) for n, c in [(b"module_layout", 7)] + symbols))
    if ext:
        section(b"__version_ext_crcs", 1, b"".join(struct.pack("<I", c) for _, c in symbols))
        section(b"__version_ext_names", 1, b"".join(n + b"\0" for n, _ in symbols))
    syms, strs = bytes(24), b"\0"
    for n, _ in symbols:
        syms += struct.pack("<IBBHQQ", len(strs), 0x10, 0, 0, 0, 0)
        strs += n + b"\0"
    syms += struct.pack("<IBBHQQ", len(strs), 0x10, 0, 1, 0, 0)
    strs += b"__ksymtab_edu_fn\0"
    syms += struct.pack("<IBBHQQ", len(strs), 0x10, 0, 0xfff1, 0x55, 0)
    strs += b"__crc_edu_fn\0"
    section(b".symtab", 2, syms, len(sections) + 1, 24)
    section(b".strtab", 3, strs)
    names += b".shstrtab\0"
    at = len(names) - 10
    sections.append(struct.pack("<IIQQQQIIQQ", at, 3, 0, 0, len(body), len(names), 0, 0, 0, 0))
    body.extend(names)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 1, 62, 1, 0, 0, len(body), 0, 64, 0, 0, 64, len(sections),
                       len(sections) - 1)
    body[:64] = head
    out = bytes(body) + b"".join(sections)
    return out + (b"0123456789abcdef" + bytes([0, 0, 2] + [0] * 8 + [16]) + b"~Module signature appended~\n" if signed else b"")


info = [b"name=edu", b"vermagic=6.1.0-56 SMP preempt mod_unload modversions ", b"srcversion=ABC", b"firmware=edu/fw.bin", b"depends=",
        b"license=GPL", b"import_ns=NS"]
put("elf", "good", module(info, [(b"printk", 0x11111111), (b"kfree", 0xfedcba98)]))
put("elf", "signed", module(info, [(b"printk", 0x11111111)], signed=True))
put("elf", "ext", module(info, [(b"kfree", 0xfedcba98)], ext=True))
put("elf", "missing", module(info, [(b"gone_since", 3)]))
put("elf", "sibling", module(info, [(b"edu_fn", 0x55)]))
put("elf", "no-magic", module(info[:1], []))


# --- the kubelet: protobuf, and HTTP/2 with literal headers ---
def field(n, data):
    return bytes([n << 3 | 2, len(data)]) + data


def ask(*ids):
    return field(1, b"".join(field(1, i) for i in ids))


put("messages", "allocate", b"\0" + ask(b"d0"))
put("messages", "allocate-ill", b"\0" + ask(b"d1"))
put("messages", "allocate-two", b"\3" + ask(b"d2::0", b"d2::1") + ask(b"d2::2"))
put("messages", "allocate-many", b"\3" + ask(b"d2::0", b"d2::1", b"d2::2"))
put("messages", "prefer", b"\1" + field(1, b"".join(field(1, i) for i in (b"d0", b"d1")) + field(2, b"d1") + b"\x18\1"))
put("messages", "prefer-two", b"\4" + field(1, b"".join(field(1, b"d2::%d" % i) for i in range(4)) + field(2, b"d2::3") + b"\x18\2"))
put("messages", "pre-start", b"\2" + field(1, b"d0"))
put("messages", "none", b"\6" + ask(b"x"))


def frame(kind, flags, stream, data):
    return struct.pack(">I", len(data))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + data


def headers(pairs):
    return b"".join(b"\0" + bytes([len(n)]) + n + bytes([len(v)]) + v for n, v in pairs)


def message(data):
    return struct.pack(">BI", 0, len(data)) + data


def call(stream, method, data, split=0):
    h = headers([(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/t.S/" + method), (b":authority", b"a"),
                 (b"content-type", b"application/grpc"), (b"te", b"trailers")])
    m = message(data)
    parts = [m[:split], m[split:]] if split else [m]
    return frame(1, 4, stream, h) + b"".join(frame(0, int(p is parts[-1]), stream, p) for p in parts)


SETTINGS = frame(4, 0, 0, b"")
put("grpc_server", "echo", b"\1" + SETTINGS + call(1, b"Echo", b"hello") + call(3, b"Fail", b"x", 3))
put("grpc_server", "hold", b"\2" + SETTINGS + call(1, b"Hold", b"a") + call(3, b"Hold", b"b") + frame(3, 0, 1, b"\0\0\0\x08"))
put("grpc_server", "none", b"\3" + SETTINGS + call(1, b"None", b"") + frame(6, 0, 0, b"12345678") + frame(8, 0, 0, b"\0\1\0\0"))
put("grpc_server", "long", b"\3" + SETTINGS + call(1, b"Echo", b"z" * 300))
put("grpc_server", "window", b"\4" + frame(4, 0, 0, struct.pack(">HI", 4, 2)) + call(1, b"Echo", b"hello") + frame(8, 0, 1, b"\0\0\1\0") +
    frame(7, 0, 0, bytes(8)))


def answer(stream, data, status=b"0", text=b"", http=b"200"):
    start = frame(1, 4, stream, headers([(b":status", http), (b"content-type", b"application/grpc")]))
    end = frame(1, 5, stream, headers([(b"grpc-status", status), (b"grpc-message", text)]))
    return start + (frame(0, 0, stream, message(data)) if data is not None else b"") + end


put("grpc_client", "ok", bytes([0x31]) + SETTINGS + answer(1, b"hello") + answer(3, b""))
put("grpc_client", "error", bytes([0x30]) + SETTINGS + answer(1, None, b"5", b"not%20here%"))
put("grpc_client", "empty", bytes([0x30]) + SETTINGS + answer(1, None))
put("grpc_client", "trailers", bytes([0x30]) + SETTINGS + frame(1, 5, 1, headers(
    [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"14")])))
put("grpc_client", "http", bytes([0x30]) + SETTINGS + frame(1, 5, 1, headers([(b":status", b"503")])))
put("grpc_client", "cancel", bytes([0x02]) + SETTINGS + answer(1, b"a") + answer(3, b"b") + answer(5, b"c" * 300))
put("grpc_client", "goaway", bytes([0x31]) + SETTINGS + frame(7, 0, 0, bytes(8)) + frame(3, 0, 1, b"\0\0\0\7"))


# --- sysfs: records of file number, length, bytes; in the order of fuzz_sysfs.c ---
SYSFS = ("vendor device class numa_node rev table label config VBNV renderD width max_width speed max_speed nonfatal fatal "
         "status afu_id port_uevent distance").split()


def sysfs(**kw):
    return b"".join(bytes([SYSFS.index(k), len(v)]) + v for k, v in kw.items())


card = dict(vendor=b"0x10ee\n", device=b"0x5001\n", numa_node=b"0\n", rev=b"a1\n", table=b"21:00.0 ---> 7\n",
            VBNV=b"xilinx_u250_gen3x16_xdma_shell_3_1\n", renderD=b"DEVNAME=dri/renderD128\n")
port = dict(afu_id=b"d8424dc4a4a3c413f89e433683f9040b\n", port_uevent=b"DEVNAME=dfl-port.0\n", label=b"y\n")
put("sysfs", "card", sysfs(**card))
put("sysfs", "port", sysfs(**port))
put("sysfs", "both", sysfs(**card, **port))
put("sysfs", "changes", sysfs(**card, **port) + sysfs(VBNV=b"other\n", afu_id=b"..\n", table=b"21:00.0 ---> ../7\n"))
put("sysfs", "link", sysfs(**card, width=b"4\n", max_width=b"16\n", speed=b"8.0 GT/s PCIe\n", max_speed=b"16.0 GT/s PCIe\n",
                           nonfatal=b"RxErr 0\nTOTAL_ERR_NONFATAL 3\n", fatal=b"TOTAL_ERR_FATAL 1\n", status=b"active\n"))
put("sysfs", "class", sysfs(vendor=b"0x8086\n") + bytes([2, 9]) + b"0x120000\n" + sysfs(distance=b"10 21\n"))
