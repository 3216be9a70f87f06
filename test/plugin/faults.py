# SPDX-License-Identifier: Apache-2.0
"""Checks of the plugin on a machine where things go wrong: no inotify, a reader that reads nothing, clients that come and
go, no memory. faults.so stands in for libc where that helps."""
import os, shutil, signal, socket, subprocess, time

from node import *

TEST = os.path.dirname(BED)
LONG = bool(os.environ.get("LONG"))
BOTH = [f"{A} Healthy 0", f"{B} Healthy 1"]


def faulty(w, **env):
    """From now on the plugin has faults.so between itself and libc."""
    w.preload = TEST + "/faults.so"
    w.extra_env = {f"FAULT_{k}": str(v) for k, v in env.items()}


@check("while a machine boots the kubelet's folder is looked at every 10 ms, else every second", kubelet=False)
def boot_polling(w):
    def looks():  # how many in how many seconds
        faulty(w, INOTIFY=1, LOOKS=w.path("looks"), **boot)
        p = w.start()
        p.wait("serving", 10, msg="serving")
        n, t = os.path.getsize(w.path("looks")), time.time()
        time.sleep(2)
        n, t = os.path.getsize(w.path("looks")) - n, time.time() - t
        eq(p.end(), 0)
        return n, t
    boot = {}
    n, t = looks()
    assert 1 <= n <= t + 2, f"{n} looks in {t:.1f} s"
    boot = {"BOOT": 1}
    n, t = looks()
    assert 20 <= n <= 100 * t + 10, f"{n} looks in {t:.1f} s of a boot"


@check("without inotify: a kubelet that starts anew is registered with within 5 s, a new class is seen (14)")
def no_inotify(w):
    faulty(w, INOTIFY=1)
    w.up()
    for _ in range(2):
        w.stub.skip()
        w.stub.send("restart")
        t = w.stub.wait("started", event="started")["at"]
        o = w.stub.list(BOTH, timeout=8)
        print(f"#   list {1000 * (o['at'] - t):.0f} ms after the kubelet's start")
    end = time.time() + 10
    while not w.sockets():  # the list may be one that the kubelet before got, told late
        assert time.time() < end, "no socket"
        time.sleep(0.05)
    w.stub.skip()
    os.unlink(w.sockets()[0])
    w.stub.list(BOTH, timeout=10)
    w.cls("edu", resource="farrier.dev/other")
    w.stub.list(BOTH, resource="farrier.dev/other", timeout=15)


@check("a kubelet that reads nothing: nobody else waits, and then it gets the newest list only (5)", classes=False,
       devices=[(f"0000:{0x21 + i // 8:02x}:0{i % 8}.0", 0, i) for i in range(12)])
def dead_stream(w):
    w.cls("edu", more="  sharing: { strategy: TimeSlice, timeSlice: { replicas: 256, maxPerRequest: 1 } }\n")
    ids = [f"0000:{0x21 + i // 8:02x}:0{i % 8}.0" for i in range(12)]
    p = w.start("--metrics", "unix:" + w.path("metrics"))
    w.stub.until(lambda o: o.get("event") == "list" and o["n"] == o["healthy"] == 3072, "list", 20)
    start = len(w.stub.lines)
    w.stub.p.send_signal(signal.SIGSTOP)
    try:
        for addr in ids:  # each change is a list of 3,072 devices that nobody reads
            w.bed.unbind(addr)
            w.device(addr, health="Unhealthy")
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(w.path("metrics"))
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 200"), "not served"
        s.close()
        time.sleep(300 if LONG else 1)
    finally:
        w.stub.p.send_signal(signal.SIGCONT)
    w.stub.until(lambda o: o.get("event") == "list" and o["n"] == 3072 and o["healthy"] == 0, "the newest list", 30)
    lists = w.stub.since(lambda o: o.get("event") == "list", start)
    assert len(lists) <= 6, f"{len(lists)} lists were kept for it"
    w.bed.bind(ids[0])
    w.stub.until(lambda o: o.get("event") == "list" and o["healthy"] == 256, "lists go on", 20)
    assert not [o for o in p.lines if "stream ended" in o.get("msg", "")] or LONG, "the stream was given up"


@check(f"{100000 if LONG else 10000:,} connects leave nothing behind (7, 11)")
def connects(w):
    p = w.up()

    def fds():
        """How many stay open: the least of a second. Files that are read now and then come and go."""
        least, end = 1 << 30, time.time() + 1
        while time.time() < end:
            least = min(least, len(os.listdir(f"/proc/{p.p.pid}/fd")))
            time.sleep(0.02)
        return least

    before, path, n = fds(), w.sockets()[0], 100000 if LONG else 10000
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    said = [b"", preface, preface + b"\0\0\0\4\0\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", preface + b"\0\0\xff\1\4\0\0\0\1\x80"]
    t = time.time()
    for i in range(n):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        try:
            s.sendall(said[i % len(said)])
        except OSError:
            pass  # it has hung up already: good
        s.close()
    print(f"#   {n} connects in {time.time() - t:.1f} s")
    end = time.time() + 20
    after = fds()
    while after > before and time.time() < end:
        after = fds()
    eq(after, before)
    eq(w.stub.answer(f"prestart {RES} {A}"), "ok")  # LeakSanitizer says at the end what memory was left


@check("an allocation that fails, each in turn, and every Nth one: an error or a way round, never a crash", kubelet=False)
def no_memory(w):
    plain = shutil.copy(os.path.join(os.path.dirname(TEST), "farrier-device-plugin"), w.path("plugin"))
    env = dict(os.environ, LD_PRELOAD=TEST + "/faults-malloc.so")
    # umockdev is no test of ours: a namespace of mounts has the fake /sys.
    sys_, dev = os.path.join(w.bed.root, "sys"), w.bed.root
    inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /sys && exec "$@"', sys_]
    args = ["--classes", w.path("classes"), "--cdi-dir", w.path("cdi"), "--run", w.path("run"), "--root", dev,
            "--kubelet-config", "/dev/null"]
    loop = r"""
for n in $STEPS; do
	env FAULT_MALLOC=$n ${ONCE:+FAULT_ONCE=1} LD_PRELOAD=$FAULTS "$@" >/dev/null 2>&1
	rc=$?
	[ $rc -le 3 ] || echo "$n: status $rc"
	[ $rc = 0 ] || k=$((k + 1))
done
[ "${k:-0}" -gt 0 ] || echo "none of them failed: no test"
"""
    if subprocess.run([*inside, "true"], stderr=subprocess.DEVNULL).returncode:
        print("#   no namespaces of mounts here: not checked")
        return
    w.cls("edu", more="  health: { pciLink: true, aer: true }\n")
    for once, steps in (("1", range(1, 1500 if LONG else 400, 1 if LONG else 3)), ("", range(2, 60, 7))):
        out = subprocess.run([*inside, "bash", "-c", loop, "bash", plain, "--list", *args], text=True, timeout=1200,
                             stdout=subprocess.PIPE, env=dict(os.environ, STEPS=" ".join(map(str, steps)), ONCE=once,
                                                              FAULTS=TEST + "/faults-malloc.so")).stdout
        eq(out, "")
    # The whole service, with a kubelet that asks: it may end with an error, to be started again.
    for n in (37, 101, 499, 1009):
        stub = Stub(w.path("dp"))
        p = subprocess.Popen([*inside, plain, *args, "--kubelet-dir", w.path("dp")], stderr=subprocess.DEVNULL,
                             env=dict(env, FAULT_MALLOC=str(n)))
        end = time.time() + (10 if LONG else 2)
        while p.poll() is None and time.time() < end:
            stub.send(f"allocate {RES} {A}")
            stub.send(f"preferred {RES} 1 {A},{B} -")
            time.sleep(0.05)
        p.terminate()
        rc = p.wait(30)
        stub.end(signal.SIGKILL)
        assert rc in (0, 1, 3, -signal.SIGTERM), f"every {n}th: status {rc}"
