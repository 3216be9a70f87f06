#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks of farrier-device-plugin against the kubelet's own plugin server and fake devices.

Prints "ok NAME" or "not ok NAME: why" for each, and "N passed, N failed, N skipped" at the end.
Numbers in brackets are those of the conformance list. Usage: checks.py PLUGIN GO-PROGRAMS BED [NAME...]
"""
import json, os, re, signal, socket, subprocess, sys, time
import urllib.request

sys.dont_write_bytecode = True
from node import *  # noqa: these names are what checks are written in

# ---- registration ----
@check("registers, lists with topology, CDI spec before the first list (2, 38, 42)")
def registers(w):
    w.start()
    w.stub.wait("connected", event="connected", resource=RES, preferred=True)
    spec = json.load(open(w.path("cdi", "farrier.dev-edu.json")))
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"])
    eq(spec["kind"], "farrier.dev/edu")
    eq([d["name"] for d in spec["devices"]], [A, B])
    eq(spec["devices"][0]["containerEdits"]["deviceNodes"],
       [{"path": "/dev/edu0", "hostPath": "/dev/edu0", "permissions": "rw"}])
    devices = json.load(open(w.path("run", "devices.json")))
    eq(devices["version"], 1)
    eq([(d["id"], d["class"], d["resourceName"], d["health"], d["numaNode"], d["pcieRoot"]) for d in devices["devices"]],
       [(A, "edu", RES, "Healthy", 0, "pci0000:20"), (B, "edu", RES, "Healthy", 1, "pci0000:40")])
    eq(os.stat(w.sockets()[0]).st_mode & 0o777, 0o600)


@check("a kubelet that starts anew is registered with within 5 s (14)")
def kubelet_restart(w):
    w.up()
    for _ in range(3):
        w.stub.skip()
        w.stub.send("restart")
        t = w.stub.wait("started", event="started")["at"]
        o = w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"], timeout=5)
        print(f"#   list {1000 * (o['at'] - t):.0f} ms after the kubelet's start")


@check("our socket deleted: made again and registered (15)")
def socket_deleted(w):
    w.up()
    w.stub.skip()
    os.unlink(w.sockets()[0])
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"], timeout=5)
    eq(len(w.sockets()), 1)


@check("stream closed by the kubelet: registered again within 5 s (9, 16)")
def stream_closed(w):
    p = w.up()
    for _ in range(2):
        w.stub.answer(f"disconnect {RES}")
        w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"], timeout=5)
    assert not [o for o in p.lines if o.get("level") == "error"], p.lines


@check("no kubelet at the start, then a stale socket, then one (19)", kubelet=False)
def no_kubelet(w):
    p = w.start()
    p.wait("serving", 10, msg="serving")
    s = socket.socket(socket.AF_UNIX)
    s.bind(w.path("dp", "kubelet.sock"))  # of the last boot: nobody listens
    s.close()
    time.sleep(1)
    w.stub = Stub(w.path("dp"))
    t = w.stub.lines[0]["at"]
    o = w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"], timeout=5)
    print(f"#   list {1000 * (o['at'] - t):.0f} ms after the kubelet's start")


@check("a kubelet's folder that is not there yet is made (19)", kubelet=False)
def no_folder(w):
    os.rmdir(w.path("dp"))
    p = w.start()
    p.wait("serving", 10, msg="serving")
    w.stub = Stub(w.path("dp"))
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"], timeout=5)


@check("options failing: tried again with a back-off, reported once (13)")
def options_failing(w):
    w.stub.answer("fail-options on")
    p = w.start()
    p.wait("failure", 10, msg="registration failed")
    time.sleep(3)
    n = [o for o in p.lines if o.get("msg") == "registration failed"]
    eq(len(n), 1)
    assert "100% \u00e4rger" in n[0]["error"], n
    w.stub.answer("fail-options off")
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"], timeout=10)


@check("a name that the kubelet refuses: reported, no busy loop (12)", classes=False)
def bad_name(w):
    # With "requests." in front, as quotas write it, this is too long.
    w.cls("edu", resource=".".join(["a" * 61] * 4) + "/edu")
    p = w.start()
    o = p.until(lambda o: o.get("level") == "error", "error", 10)
    assert "the ResourceName" in o.get("error", ""), o
    time.sleep(2)
    eq(len([o for o in p.lines if o.get("level") == "error"]), 1)


@check("two instances overlap, the old one leaves: one live stream at the end (18)")
def overlap(w):
    old = w.up()
    new = w.start()
    new.wait("the new one waits", 20, msg="waiting for the other one to end")
    eq(len(w.sockets()), 1)
    w.stub.skip()
    eq(old.end(), 0)
    new.wait("the new one registers", 20, msg="registered with the kubelet")
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"], timeout=10)
    time.sleep(0.5)
    eq(w.stub.answer(f"prestart {RES} {A}"), "ok")
    eq(len(w.sockets()), 1)


@check("SIGTERM: status 0, socket gone, CDI spec stays (20)")
def sigterm(w):
    p = w.up()
    w.stub.skip()
    t = time.time()
    eq(p.end(), 0)
    assert time.time() - t < 3, "slow"
    eq(w.sockets(), [])
    assert os.path.exists(w.path("cdi", "farrier.dev-edu.json"))
    w.stub.wait("disconnected", event="disconnected")


@check("kill -9: the next one removes what was left and serves (33)")
def killed(w):
    p = w.up()
    before = w.stub.answer(f"allocate {RES} {A}")
    p.end(signal.SIGKILL)
    eq(len(w.sockets()), 1)
    w.stub.skip()
    w.up()
    eq(len(w.sockets()), 1)
    eq(w.stub.answer(f"allocate {RES} {A}"), before)


# ---- allocation ----
@check("Allocate: CDI names only, one answer per container, in order, the same again (31, 32, 37)")
def allocate(w):
    w.up()
    want = [{"cdi_devices": [{"name": f"{RES}={B}"}]}, {"cdi_devices": [{"name": f"{RES}={A}"}]}]
    for _ in range(3):
        eq(w.stub.answer(f"allocate {RES} {B} {A}"), want)
    eq(w.stub.answer(f"allocate {RES} {A},{B}"), [{"cdi_devices": [{"name": f"{RES}={A}"}, {"name": f"{RES}={B}"}]}])


@check("unknown and unhealthy devices are refused (30)")
def refuse(w):
    w.up()
    eq(w.stub.ask(f"allocate {RES} nope")["code"], "NotFound")
    eq(w.stub.ask(f"allocate {RES} {A},nope")["code"], "NotFound")
    w.bed.unbind(A)
    w.stub.list([f"{A} Unhealthy 0", f"{B} Healthy 1"])
    o = w.stub.ask(f"allocate {RES} {A}")
    eq(o["code"], "FailedPrecondition")
    assert "DriverNotBound" in o["text"], o
    eq(w.stub.ask(f"prestart {RES} {A}")["code"], "FailedPrecondition")
    eq(w.stub.answer(f"prestart {RES} {B}"), "ok")


@check("before a container starts: the device answers, its driver, nodes and CDI spec are as advertised", classes=False)
def pre_start(w):
    w.cls("edu")
    w.start()
    eq(w.stub.wait("connected", event="connected", resource=RES)["preStart"], False)  # nobody asked for it
    w.stub.skip()
    w.cls("edu", more="  health: { pciLink: true }\n")
    eq(w.stub.wait("connected again", 10, event="connected", resource=RES)["preStart"], True)
    module = os.path.join(w.bed.root, "sys/module/edu")
    os.makedirs(module)
    os.makedirs(os.path.join(w.bed.root, "sys/bus/pci/drivers/edu"))
    os.symlink("../../../../module/edu", os.path.join(w.bed.root, "sys/bus/pci/drivers/edu/module"))
    os.unlink(w.bed.path(A, "driver"))
    os.symlink(os.path.relpath(os.path.join(w.bed.root, "sys/bus/pci/drivers/edu"), w.bed.path(A)), w.bed.path(A, "driver"))
    put = lambda p, text: (open(p + ".new", "w").write(text), os.rename(p + ".new", p))
    put(module + "/version", "1.0\n")
    spec = w.path("cdi", "farrier.dev-edu.json")

    def fails(text):
        o = w.stub.ask(f"prestart {RES} {A}")
        assert o.get("code") == "FailedPrecondition" and text in o["text"], o

    def soon_ok():  # the next look advertises it as it is now
        w.bed.event(A, "change")
        end = time.time() + 10
        while w.stub.ask(f"prestart {RES} {A}")["event"] != "answer":
            assert time.time() < end, "not well again"
            time.sleep(0.1)
    soon_ok()
    end = time.time() + 10  # the version is part of what is advertised with the next look
    put(module + "/version", "2.0\n")
    while w.stub.ask(f"prestart {RES} {A}").get("code") != "FailedPrecondition":
        assert time.time() < end, "another version is taken"
        put(module + "/version", f"{time.time()}\n")
        time.sleep(0.05)
    soon_ok()
    open(w.bed.path(A, "config"), "wb").write(b"\xff" * 64)
    fails("all ones")
    eq(w.stub.answer(f"prestart {RES} {B}"), "ok")
    os.unlink(w.bed.path(A, "config"))
    soon_ok()
    node = os.path.join(w.bed.root, "dev/edu0")
    os.rename(node, node + ".away")
    fails("/dev/edu0' is missing")
    os.rename(node + ".away", node)
    soon_ok()
    os.unlink(spec)
    fails("CDI spec")
    soon_ok()


@check("preferred: must-include, size, nearest, never an error (39)", devices=(
    (A, 0, 0), ("0000:22:00.0", 0, 1), (B, 1, 2), (C, 1, 3)))
def preferred(w):
    d = "0000:22:00.0"
    w.up(devices=[f"{A} Healthy 0", f"{d} Healthy 0", f"{B} Healthy 1", f"{C} Healthy 1"])
    all_ = f"{A},{d},{B},{C}"
    eq(w.stub.answer(f"preferred {RES} 2 {all_} -"), f"{A},{d}")
    eq(w.stub.answer(f"preferred {RES} 2 {all_} {C}"), f"{B},{C}")
    eq(w.stub.answer(f"preferred {RES} 1 {A},{B} {B}"), B)
    eq(w.stub.answer(f"preferred {RES} 3 {B},{C},{A} -"), f"{A},{B},{C}")
    eq(w.stub.answer(f"preferred {RES} 5 {all_} -"), "")
    eq(w.stub.answer(f"preferred {RES} 1 {A} {B}"), "")
    eq(w.stub.answer(f"preferred {RES} 1 nope -"), "")


@check("preferred: a class says what counts, and in which order (39)", classes=False,
       devices=((A, 0, 0), ("0000:22:00.0", 1, 1), (B, 0, 2)))
def prefer_order(w):
    d = "0000:22:00.0"
    for n, (prefer, want) in enumerate((("numa", f"{A},{B}"), ("pcieRoot", f"{A},{d}"), ("numa, pcieRoot", f"{A},{B}"),
                                        ("pcieRoot, numa", f"{A},{d}"))):
        res = f"farrier.dev/edu{n}"
        w.cls("edu", resource=res, more=f"  topology: {{ prefer: [ {prefer} ] }}\n")
        if n == 0:
            w.start()
        w.stub.list([f"{A} Healthy 0", f"{d} Healthy 1", f"{B} Healthy 0"], resource=res, timeout=15)
        eq(w.stub.answer(f"preferred {res} 2 {A},{d},{B} -"), want)


@check("the CDI spec is what runtimes take, and one device is one device (37, 38)", classes=False)
def cdi_valid(w):
    w.cls("8.edu", more="  env: { EDU: \"a=b c\" }\n  mounts: [ { hostPath: /opt, containerPath: /edu } ]\n", file="a.yaml")
    text = open(w.path("classes", "a.yaml")).read().replace("{ subsystem: edu, permissions: rw }", "{ path: /dev/null, permissions: r }")
    w.write("a.yaml", text)
    w.up()
    name = w.stub.answer(f"allocate {RES} {A}")[0]["cdi_devices"][0]["name"]
    got = json.loads(subprocess.check_output([GO + "/cdicheck", w.path("cdi"), name], text=True))
    eq(got["devices"], [name, name.replace(A, B)])
    eq([(d["path"], d["type"], d["major"], d["minor"]) for d in got["spec"]["linux"]["devices"]], [("/dev/null", "c", 1, 3)])
    eq(got["spec"]["linux"]["resources"]["devices"], [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}])
    eq(got["spec"]["process"]["env"], ["EDU=a=b c"])
    eq(got["spec"]["mounts"], [{"destination": "/edu", "source": "/opt", "options": ["rbind", "ro"]}])


@check("without CDI: device nodes by stable names that follow the device (33)", classes=False)
def no_cdi(w):
    more = "  cdi: false\n  env: { EDU: yes-please }\n  mounts: [ { hostPath: /opt/edu, containerPath: /edu } ]\n"
    w.cls("edu", more=more)
    w.up()
    link = w.path("run", "dev", A, "edu-0")
    answer = w.stub.answer(f"allocate {RES} {A}")
    eq(answer, [{"envs": {"EDU": "yes-please"},
                 "mounts": [{"container_path": "/edu", "host_path": "/opt/edu", "read_only": True}],
                 "devices": [{"container_path": "/dev/edu0", "host_path": link, "permissions": "rw"}]}])
    eq(os.readlink(link), "/dev/edu0")
    # The other way round, as after a reboot with another order of probing.
    w.bed.remove(A)
    w.bed.remove(B)
    w.stub.list([f"{A} Unhealthy 0", f"{B} Unhealthy 1"])
    assert not os.path.lexists(link)
    w.bed.add(B, 1, 0)
    w.bed.add(A, 0, 1)
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"])
    eq(os.readlink(link), "/dev/edu1")
    eq(os.listdir(w.path("cdi")), [])


@check("TimeSlice: replicas follow their device, no more than allowed per request (28)", classes=False)
def time_slice(w):
    w.cls("edu", more="  sharing: { strategy: TimeSlice, timeSlice: { replicas: 3, maxPerRequest: 1 } }\n")
    ids = lambda a, h, n: [f"{a}::{i} {h} {n}" for i in range(3)]
    w.up(devices=ids(A, "Healthy", 0) + ids(B, "Healthy", 1))
    eq(w.stub.answer(f"allocate {RES} {A}::2"), [{"cdi_devices": [{"name": f"{RES}={A}"}]}])
    eq(w.stub.ask(f"allocate {RES} {A}::0,{B}::0")["code"], "InvalidArgument")
    eq(w.stub.answer(f"preferred {RES} 1 {A}::1,{A}::2,{B}::0,{B}::1,{B}::2 -"), f"{B}::0")
    w.bed.unbind(A)
    w.stub.list(ids(A, "Unhealthy", 0) + ids(B, "Healthy", 1))
    w.bed.bind(A)
    w.stub.list(ids(A, "Healthy", 0) + ids(B, "Healthy", 1))


# ---- device state ----
@check("hotplug: a new device is listed, a lost one stays as Unhealthy and comes back (22, 26)")
def hotplug(w):
    w.up()
    t = time.time()
    w.bed.add(C, 1, 2)
    o = w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1", f"{C} Healthy 1"])
    print(f"#   listed {1000 * (o['at'] - t):.0f} ms after the plug")
    w.bed.remove(C)
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1", f"{C} Unhealthy 1"])
    eq([d["name"] for d in json.load(open(w.path("cdi", "farrier.dev-edu.json")))["devices"]], [A, B])
    w.bed.remove(A)
    w.stub.list([f"{A} Unhealthy 0", f"{B} Healthy 1", f"{C} Unhealthy 1"])
    w.bed.add(C, 1, 2)
    w.stub.list([f"{A} Unhealthy 0", f"{B} Healthy 1", f"{C} Healthy 1"])
    w.bed.add(A, 0, 0)
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1", f"{C} Healthy 1"])


@check("without events the poll sees it as well (21)")
def poll(w):
    w.up()
    w.bed.unbind(A, event=False)
    w.stub.list([f"{A} Unhealthy 0", f"{B} Healthy 1"], timeout=8)
    w.bed.bind(A, event=False)
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"], timeout=8)


@check("device node gone: Unhealthy until it is back (21)")
def node_gone(w):
    w.up()
    node = os.path.join(w.bed.root, "dev/edu0")
    os.rename(node, node + ".away")
    w.bed.event(A, "change")
    w.stub.list([f"{A} Unhealthy 0", f"{B} Healthy 1"])
    devices = json.load(open(w.path("run", "devices.json")))["devices"]
    eq((devices[0]["health"], devices[0]["reason"]), ("Unhealthy", "DeviceAbsent"))
    os.rename(node + ".away", node)
    w.bed.event(A, "change")
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"])


@check("health: link, errors, the device's own file, off the bus: each for one device alone, and back by itself (21, 23)",
       classes=False)
def health(w):
    w.cls("edu", more="  health: { pciLink: true, aer: true, file: ecc }\n")
    link = {"current_link_width": "16", "max_link_width": "16", "current_link_speed": "8.0 GT/s PCIe",
            "max_link_speed": "8.0 GT/s PCIe", "ecc": "0", "aer_dev_fatal": "TOTAL_ERR_FATAL 3",
            "aer_dev_nonfatal": "TOTAL_ERR_NONFATAL 2"}
    for addr in (A, B):
        for name, text in link.items():
            w.sign(addr, name, text)
    w.up()
    good, bad = [f"{A} Healthy 0", f"{B} Healthy 1"], [f"{A} Unhealthy 0", f"{B} Healthy 1"]
    # A complaint is Suspect at first, which is handed out, and a fall when it lasts.
    w.sign(A, "current_link_width", "4")
    w.sign(A, "ecc", "1")
    w.bed.event(A, "change")
    w.device(A, health="Suspect", reason="DeviceIll", causes=["FileSaysIll", "LinkNarrowed", "LinkBelowMax"])
    w.stub.answer(f"allocate {RES} {A}")
    w.stub.list(bad, timeout=25)
    w.sign(A, "ecc", "0")
    w.device(A, health="Unhealthy", reason="LinkDegraded")
    w.sign(A, "current_link_width", "16")
    w.device(A, health="Recovering", causes=[])
    w.stub.list(good, timeout=25)
    # An error that cannot be undone is a fall at once; the one of before our start is not counted.
    w.sign(A, "aer_dev_fatal", "TOTAL_ERR_FATAL 4")
    w.bed.event(A, "change")
    w.stub.list(bad)
    eq(w.stub.ask(f"allocate {RES} {A}")["code"], "FailedPrecondition")
    w.device(A, health="Unhealthy", reason="DeviceErrors", causes=["FatalErrors"])
    # Killed, and started anew: what was known of errors is known still.
    w.plugins[0].end(signal.SIGKILL)
    assert "DeviceErrors: it reported fatal PCI errors" in w.show("--explain")
    w.stub.skip()
    w.up(devices=bad)
    w.device(A, health="Unhealthy", reason="DeviceErrors", causes=["FatalErrors"])
    # Off the bus: told before all else.
    with open(w.bed.path(A, "config"), "wb") as f:
        f.write(b"\xff" * 64)
    w.bed.event(A, "change")
    w.device(A, health="Unhealthy", reason="DeviceLost", causes=["OffTheBus"])
    w.device(B, health="Healthy", causes=[])


@check("health.command: ill, hanging, missing: each is named, and hurts no other device (21)", classes=False)
def health_command(w):
    script = w.path("check")
    with open(script, "w") as f:
        f.write(f'#!/bin/sh\ncase $1 in --card={A}) ;; *) exit 0 ;; esac\n. {w.path("say")}\n')
    os.chmod(script, 0o755)

    def say(text):
        with open(w.path("say.new"), "w") as f:
            f.write(text + "\n")
        os.rename(w.path("say.new"), w.path("say"))

    say("exit 0")
    cls = '  health: {{ command: {{ argv: [ {}, "--card={{address}}" ], intervalSeconds: 5, timeoutSeconds: {} }} }}\n'
    w.cls("edu", more=cls.format(script, 60))
    w.up()
    good, bad = [f"{A} Healthy 0", f"{B} Healthy 1"], [f"{A} Unhealthy 0", f"{B} Healthy 1"]
    say("echo 93 degrees; exit 7")
    have = w.device(A, timeout=60, health="Suspect", reason="DeviceIll", causes=["CommandSaysIll"])
    eq(have["message"], f"its health command '{script}': exit status 7: 93 degrees")
    w.stub.answer(f"allocate {RES} {A}")
    w.stub.list(bad, timeout=60)
    say("exit 0")
    w.stub.list(good, timeout=60)
    say("exec sleep 1000")
    w.cls("edu", more=cls.format(script, 1))
    have = w.device(A, timeout=60, causes=["CommandSilent"])
    assert "no end within 1 s, killed" in have["message"], have
    w.device(B, health="Healthy", causes=[])
    # A command that is not there says nothing of the devices: seen, and handed out all the same.
    w.cls("edu", more=cls.format("/nonexistent/check", 5))
    for addr in (A, B):
        w.device(addr, timeout=60, causes=["CommandFailed"])
    w.device(B, health="Suspect", reason="DeviceIll")
    w.stub.answer(f"allocate {RES} {B}")


@check("another driver bound: Unhealthy, not lost (21)")
def other_driver(w):
    w.up()
    w.bed.unbind(A, event=False)
    w.bed.bind(A, driver="vfio-pci")
    w.stub.list([f"{A} Unhealthy 0", f"{B} Healthy 1"])
    assert "driver 'vfio-pci' is bound" in w.show("--explain")


@check("a device whose driver comes later is listed, Unhealthy at first")
def late_driver(w):
    w.bed.unbind(A)
    w.bed.unbind(B)
    w.up(devices=[f"{A} Unhealthy 0", f"{B} Unhealthy 1"])
    w.bed.bind(A)
    w.stub.list([f"{A} Healthy 0", f"{B} Unhealthy 1"])


@check("an equal state is not sent again, a burst is merged (27)")
def no_resend(w):
    w.up()
    n = len(w.stub.lines)
    for _ in range(200):
        w.bed.event(A, "change")
    time.sleep(1)
    eq(w.stub.since(lambda o: o["event"] == "list", n), [])
    n = len(w.stub.lines)
    for _ in range(20):
        w.bed.unbind(A)
        w.bed.bind(A)
    w.bed.unbind(A)
    w.stub.list([f"{A} Unhealthy 0", f"{B} Healthy 1"])
    time.sleep(0.5)
    lists = w.stub.since(lambda o: o["event"] == "list", n)
    assert len(lists) <= 6, f"{len(lists)} lists for one burst"
    eq(sorted(lists[-1]["devices"]), [f"{A} Unhealthy 0", f"{B} Healthy 1"])


@check("no NUMA node: no TopologyInfo; a mixed resource is warned about (41, 44)", devices=((A, -1, 0), (B, 1, 1)))
def no_numa(w):
    p = w.up(devices=[f"{A} Healthy none", f"{B} Healthy 1"])
    p.until(lambda o: "never satisfy a topology hint" in o.get("msg", ""), "warning")


@check("the kubelet's policies: said, with a warning when topology hints have no effect")
def policies(w):
    for n in (0, 1):
        os.makedirs(os.path.join(w.bed.root, f"sys/devices/system/node/node{n}"))
        with open(os.path.join(w.bed.root, f"sys/devices/system/node/node{n}/distance"), "w") as f:
            f.write("10 21\n" if n == 0 else "21 10\n")
    config = w.path("kubelet.yaml")

    def write(text):
        with open(config, "w") as f:
            f.write("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n" + text)
    write("")
    p = w.up("--kubelet-config", config)
    o = p.wait("policies", 20, msg="the kubelet's policies")
    assert o["topologyManager"] == "none" and "no effect" in o["warning"], o
    explain = lambda *a: w.show("--explain", "--kubelet-config", config, *a)
    assert "hints have no effect" in explain()
    write("topologyManagerPolicy: restricted\ncpuManagerPolicy: static\n")
    assert "kubelet: Topology Manager restricted (scope container), CPU Manager static" in explain()
    eq(json.loads(explain("--json"))["kubelet"].get("warning"), None)
    write("topologyManagerPolicy: restricted\n")
    assert "CPU Manager has no static policy" in json.loads(explain("--json"))["kubelet"]["warning"]
    write("topologyManagerPolicy: [")
    assert "kubelet: the kubelet's configuration" in explain()


@check("3,072 devices: one list under 4 MiB, and allocatable (29)", classes=False,
       devices=[(f"0000:{0x21 + i // 8:02x}:0{i % 8}.0", 0, i) for i in range(12)])
def many(w):
    w.cls("edu", more="  sharing: { strategy: TimeSlice, timeSlice: { replicas: 256, maxPerRequest: 1 } }\n")
    w.start()
    w.stub.until(lambda o: o.get("event") == "list" and o["n"] == o["healthy"] == 3072, "list", 10)
    eq(w.stub.answer(f"allocate {RES} {A}::255"), [{"cdi_devices": [{"name": f"{RES}={A}"}]}])


# ---- classes ----
@check("a bad class file keeps its last good content and is reported")
def bad_class(w):
    p = w.up()
    good = open(w.path("classes", "edu.yaml")).read()
    n = len(w.stub.lines)
    for i, bad in enumerate(("spec: [", good + "  unknownField: 1\n", good.replace("farrier.dev/edu", "no name"),
                             good.replace('"1234"', "1234"), "", "a: b\n---\n" + good)):
        w.write("edu.yaml", bad)
        if bad:
            p.until(lambda o: o.get("msg") == "class file is not good", f"bad file {i}")
    w.write("other.yaml", "kind: [nonsense")
    p.until(lambda o: o.get("msg") == "class file is not good", "other")
    time.sleep(0.3)
    assert "file in error" in w.show("--list")
    eq([o for o in w.stub.since(lambda o: o["event"] == "list", n) if o["n"]], [])
    w.write("edu.yaml", good)
    time.sleep(0.3)
    eq(w.stub.answer(f"prestart {RES} {A}"), "ok")
    assert "other.yaml" in w.show("--explain")


@check("a class file that is bad when the plugin starts: its last good content is in force, until it is gone")
def bad_at_start(w):
    p = w.up()
    want = [f"{A} Healthy 0", f"{B} Healthy 1"]
    eq(p.end(), 0)
    good = open(w.path("classes", "edu.yaml")).read()
    w.write("edu.yaml", "spec: [")
    w.write("new.yaml", "spec: [")
    w.stub.skip()
    p = w.up(devices=want)
    eq(len([o for o in p.lines if o.get("msg") == "class file is not good"]), 2)
    text = w.show("--list")
    assert "file in error (1 classes of it in force)" in text and "(0 classes of it in force)" in text, text
    os.unlink(w.path("classes", "edu.yaml"))
    w.stub.until(lambda o: o.get("event") == "disconnected", "the class is gone", 15)
    eq(p.end(), 0)
    w.write("edu.yaml", "spec: [")  # and so is what was kept of it
    assert "(1 classes" not in w.show("--list")
    w.write("edu.yaml", good)
    w.stub.skip()
    w.up(devices=want)


@check("classes come and go while it runs; External ones are not advertised", classes=False)
def come_and_go(w):
    p = w.start()
    p.wait("serving", 10, msg="serving")
    eq(w.sockets(), [])
    w.cls("edu")
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"])
    w.cls("edu", resource="farrier.dev/other")
    w.stub.list([f"{A} Healthy 0", f"{B} Healthy 1"], resource="farrier.dev/other")
    w.stub.until(lambda o: o["event"] == "disconnected" and o["resource"] == RES, "the old one leaves") \
        if not w.stub.since(lambda o: o["event"] == "disconnected", 0) else None
    w.cls("edu", more="  sharing: { strategy: External }\n")
    end = time.time() + 8
    while w.sockets() and time.time() < end:
        time.sleep(0.1)
    eq(w.sockets(), [])
    eq(json.load(open(w.path("run", "devices.json")))["devices"][0]["class"], "edu")
    os.unlink(w.path("classes", "edu.yaml"))
    end = time.time() + 8
    while json.load(open(w.path("run", "devices.json")))["devices"] and time.time() < end:
        time.sleep(0.1)
    eq(json.load(open(w.path("run", "devices.json")))["devices"], [])
    eq(os.listdir(w.path("cdi")), [])


@check("two classes want one device: the first by name has it, and it is said")
def rivals(w):
    w.cls("zzz", resource="farrier.dev/zzz")
    p = w.up()
    p.until(lambda o: o.get("msg") == "two classes claim one device" and o["other"] == "zzz", "rival")
    assert "class 'zzz' claims it too" in w.show("--explain")
    eq(len(w.sockets()), 1)


@check("a class that matches nothing is reported and harms nothing")
def nothing(w):
    w.cls("none", resource="farrier.dev/none", match=', driver: other', file="none.yaml")
    w.write("none.yaml", open(w.path("classes", "none.yaml")).read().replace("1234", "dead"))
    p = w.up()
    p.until(lambda o: o.get("reason") == "NoMatchingDevices" and o["class"] == "none", "warning")
    assert "class 'none': NoMatchingDevices" in w.show("--explain")
    eq(len(w.sockets()), 1)


@check("classes as JSON, as the agent writes them", classes=False)
def json_class(w):
    w.write("edu.json", json.dumps({
        "apiVersion": "farrier.dev/v1alpha1", "kind": "AcceleratorClass", "metadata": {"name": "edu"},
        "spec": {"match": [{"bus": "PCI", "vendor": "1234", "device": "11e8"}], "resourceName": RES,
                 "deviceNodes": [{"subsystem": "edu"}]}}))
    w.up()


# ---- what people and machines see ----
@check("--list and --explain, as text and as JSON")
def shows(w):
    text = w.show("--list")
    assert re.search(rf"{A}\s+1234:11e8\s+edu\s+0\s+pci0000:20\s+edu\s+{RES}\s+Healthy\s+/dev/edu0", text), text
    doc = json.loads(w.show("--list", "--json"))
    eq([(d["id"], d["deviceNodes"]) for d in doc["devices"]], [(A, ["/dev/edu0"]), (B, ["/dev/edu1"])])
    eq(doc["classes"][0]["devices"], 2)
    w.bed.unbind(A)
    doc = json.loads(w.show("--explain", "--json"))
    eq([(d["id"], d["allocatable"]) for d in doc["devices"]], [(A, False), (B, True)])
    assert "DriverNotBound" in doc["devices"][0]["why"], doc


@check("metrics, readiness and systemd's notification")
def metrics(w):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(w.path("notify"))
    s.settimeout(10)
    w.extra_env = {"NOTIFY_SOCKET": w.path("notify")}
    p = socket.socket()
    p.bind(("127.0.0.1", 0))
    port = p.getsockname()[1]
    p.close()
    w.up("--metrics", f"127.0.0.1:{port}")
    eq(s.recv(100), b"READY=1")
    w.stub.answer(f"allocate {RES} {A}")
    get = lambda path: urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).read().decode()
    text = get("/metrics")
    for line in (f'farrier_plugin_devices{{resource="{RES}",class="edu",health="Healthy"}} 2',
                 f'farrier_plugin_allocations_total{{resource="{RES}"}} 1',
                 f'farrier_plugin_registrations_total{{resource="{RES}"}} 1', "farrier_plugin_classes 1"):
        assert line in text, f"no '{line}' in {text}"
    get("/healthz")
    get("/readyz")
    w.plugins[0].p.send_signal(signal.SIGTERM)
    eq(s.recv(100), b"STOPPING=1")


@check("wrong options: status 2; a folder that cannot be: status 3")
def usage(w):
    rc = lambda *a: subprocess.run([PLUGIN, *a], env=w.env(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=20).returncode
    eq(rc("--nonsense"), 2)
    eq(rc("--list", "--explain"), 2)
    eq(rc("--help"), 0)
    eq(rc("--classes", w.path("classes"), "--kubelet-dir", "/proc/nowhere/dp", "--cdi-dir", w.path("cdi"), "--run", w.path("run")), 3)


import counts, faults  # noqa: their checks come last


def main():
    passed = failed = 0
    for name, f, kw in CHECKS:
        if ONLY and f.__name__ not in ONLY:
            continue
        w, why, t = None, None, time.time()
        try:
            w = World(**kw)
            f(w)
        except Exception as e:  # one check's trouble is not the next one's
            why = f"{type(e).__name__}: {e}"
        try:
            if w:
                w.close()
        except Exception as e:
            why = f"{why or ''} {e}"
        if why:
            failed += 1
            print(f"not ok {name}: {why}", flush=True)
        else:
            passed += 1
            print(f"ok {name} ({time.time() - t:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


sys.exit(main())
