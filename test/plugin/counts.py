# SPDX-License-Identifier: Apache-2.0
"""Checks of the plugin against the kubelet's whole device manager: what the node counts, and what the status of a pod
says of the devices that it holds."""
import os, signal, time

from node import *


class Manager(Stub):
    program = GO + "/kubeletmanager"

    def counts(self, capacity, allocatable, timeout=25):
        """Waits until the node says so."""
        end, have = time.time() + timeout, None
        while have != [capacity, allocatable]:
            assert time.time() < end, f"{have} is not {[capacity, allocatable]} within {timeout} s"
            time.sleep(0.05)
            have = self.answer(f"count {RES}")

    def updates(self, pod, timeout=25):
        """Waits until the kubelet would write this pod's status, and no other's, by itself."""
        o = self.until(lambda o: o.get("event") == "update", f"update of {pod}", timeout)
        eq(o["pods"], pod)

    def pods(self, *names):
        """Admits them, one device each; which pod holds which device."""
        held = {}
        for name in names:
            self.answer(f"pod {name} {RES} 1")
            [line] = self.answer(f"status {name}")
            eq(line.split()[::2], [RES, "Healthy"])
            held[line.split()[1]] = name
        return held

    def shows(self, pod, device, health):
        eq(self.answer(f"status {pod}"), [f"{RES} {device} {health}"])


@check("a stream that ends leaves 0 of 2, a plugin that comes back 2 of 2; pods keep what they hold (24)", kubelet=False)
def stream_ends(w):
    w.stub = m = Manager(w.path("dp"))
    p = w.start()
    m.counts(2, 2)
    held = m.pods("one")
    for sig in (signal.SIGKILL, signal.SIGTERM):
        p.end(sig)
        m.counts(2, 0)
        assert m.ask(f"pod more {RES} 1")["event"] == "error", "a device of nobody was given away"
        p = w.start()
        m.counts(2, 2)
        for device, pod in held.items():
            m.shows(pod, device, "Healthy")
    m.pods("two")
    assert m.ask(f"pod more {RES} 1")["event"] == "error", "two devices, three pods"


@check("the status of a pod names its device as Unhealthy, ill or lost, and no other pod's (25, 26)", kubelet=False)
def pod_status(w):
    w.stub = m = Manager(w.path("dp"))
    w.start()
    m.counts(2, 2)
    held = m.pods("one", "two")
    eq(sorted(held), [A, B])
    node = os.path.join(w.bed.root, "dev/edu0")
    m.skip()
    os.rename(node, node + ".away")
    w.bed.event(A, "change")
    m.updates(held[A])
    m.shows(held[A], A, "Unhealthy")
    m.shows(held[B], B, "Healthy")
    m.counts(2, 1)
    m.skip()
    os.rename(node + ".away", node)
    w.bed.event(A, "change")
    m.updates(held[A])
    m.shows(held[A], A, "Healthy")
    m.counts(2, 2)
    # Gone from the list it would be Healthy to the kubelet.
    m.skip()
    w.bed.remove(A)
    m.updates(held[A])
    m.shows(held[A], A, "Unhealthy")
    m.shows(held[B], B, "Healthy")
    m.counts(2, 1)
