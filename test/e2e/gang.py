#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a wave did to a gang, out of watches of its pods, the Nodes and the AcceleratorNodes (one JSON event a line).
usage: gang.py PODS NODES ACCNODES     prints the story, then "fault: ..." for each thing that must not be; exit 1 if any
The order is that of resourceVersions: the three are kept in one etcd, which numbers all changes."""
import json
import sys


def events(path):
    with open(path) as f:
        for line in f:
            if not line.endswith("\n"):
                return  # cut off while it was written
            e = json.loads(line)
            if e["type"] in ("ADDED", "MODIFIED", "DELETED"):
                yield int(e["object"]["metadata"]["resourceVersion"]), e["type"], e["object"]


def is_evicted(pod):
    return any(c["type"] == "DisruptionTarget" and c.get("reason") == "EvictionByEvictionAPI"
               for c in pod.get("status", {}).get("conditions", []))


class Pod:
    def __init__(self, obj):
        self.name, self.node = obj["metadata"]["name"], ""
        self.bound = self.running = self.evicted = self.deleting = self.gone = None

    def see(self, rv, kind, obj):
        self.node = obj["spec"].get("nodeName", "")
        for what, is_so in (("bound", self.node), ("running", obj["status"].get("phase") == "Running"), ("evicted", is_evicted(obj)),
                            ("deleting", "deletionTimestamp" in obj["metadata"]), ("gone", kind == "DELETED")):
            if is_so and getattr(self, what) is None:
                setattr(self, what, rv)
                story.append((rv, f"pod {self.name} {what}" + (f" on {self.node}" if self.node else "")))


story, faults = [], []
pods, start = {}, 0
for rv, kind, obj in events(sys.argv[1]):
    pods.setdefault(obj["metadata"]["uid"], Pod(obj)).see(rv, kind, obj)

cordons, uncordons, was, all_cordoned = {}, {}, {}, None
for rv, kind, obj in events(sys.argv[2]):
    name, now = obj["metadata"]["name"], bool(obj["spec"].get("unschedulable"))
    if now != was.get(name, False):
        (cordons if now else uncordons).setdefault(name, []).append(rv)
        story.append((rv, f"node {name} {'cordoned' if now else 'free again'}"))
    was[name] = now
    if all_cordoned is None and len(was) > 1 and all(was.values()):
        all_cordoned = rv

groups, replaced, states = {}, {}, {}
for rv, kind, obj in events(sys.argv[3]):
    name, up = obj["metadata"]["name"], obj.get("spec", {}).get("upgrade", {})
    if up.get("state") != states.get(name):
        states[name] = up.get("state")
        story.append((rv, f"{name}: {states[name]} {up.get('reason', '')} {up.get('group', '')}".rstrip()))
    if up.get("state") == "cordon-required":
        groups[name] = up.get("group")
    if up.get("state") in ("replace-required", "reboot-required"):
        replaced.setdefault(name, rv)

story.sort()
for rv, text in story:
    print(f"   {rv}  {text}")

old = [p for p in pods.values() if cordons and p.running and p.running < min(v[0] for v in cordons.values())]
new = [p for p in pods.values() if p not in old]
nodes = sorted(was)


def must(is_so, text):
    if not is_so:
        faults.append(text)


must(len(nodes) == 3 and len(old) == 3, f"{len(old)} pods ran on {len(nodes)} nodes before the wave")
must(sorted(cordons) == nodes, f"cordoned: {sorted(cordons)} of {nodes}")
must(all(len(v) == 1 for v in cordons.values()), f"cordoned more than once: {cordons}")
must(len(set(groups.values())) == 1 and None not in groups.values(), f"not one unit: {groups}")
for p in old:
    must(p.evicted, f"{p.name} was not evicted by the Eviction API")
    must(p.deleting and all_cordoned and p.deleting > all_cordoned, f"{p.name} went before all nodes were cordoned")
    must(p.deleting and replaced and p.deleting < min(replaced.values()), f"{p.name} was not on its way when the first module was replaced")
    must(p.gone and p.gone < replaced.get(p.node, 0), f"{p.name} was still there when the module of {p.node} was replaced")
for p in new:
    must(not p.evicted and not p.deleting, f"{p.name}, which had come back, was broken again")
must(len(new) == 3 and all(p.running for p in new), f"{sum(bool(p.running) for p in new)} of {len(new)} pods came back")
must(len({p.node for p in new}) == 3, "not on three nodes")
must(all(p.bound and uncordons and p.bound > max(v[-1] for v in uncordons.values()) for p in new if p.running),
     "a pod was placed before there was room for all")
must(sorted(replaced) == nodes, f"replaced on {sorted(replaced)}")
for f in faults:
    print(f"fault: {f}")
sys.exit(bool(faults))
