#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the controller would write: an AcceleratorNode that wants edu, and who builds it.
usage: node.py FILE NAME KERNEL BUILDER [KEY DIGEST]     env: EDU (folder of the source), IMAGE (source.oci instead),
ASKED (all who build it, to be compared), UNSIGNED (what they agreed on), SIGN (not empty: signed with the Secret fleet)"""
import json, os, sys

path, name, kernel, builder = sys.argv[1:5]
key, digest = sys.argv[5:7] if len(sys.argv) > 5 else ("", "")
if os.environ.get("IMAGE"):
    source = {"type": "OCI", "oci": {"image": os.environ["IMAGE"]}}
else:
    files = {f: open(os.path.join(os.environ["EDU"], f)).read() for f in ("Kbuild", "edu.c", "edu.h")}
    source = {"type": "Inline", "inline": {"files": files}}
build = {"driver": "edu", "generation": 1, "kernel": kernel, "node": builder, "epoch": 1, "since": 1}
if digest:
    build.update(key=key, digest=digest)
build.update({k: os.environ[e] for k, e in (("asked", "ASKED"), ("unsignedDigest", "UNSIGNED")) if os.environ.get(e)})
spec = {"version": "1.0", "devices": [{"bus": "PCI", "vendor": "1234", "device": "11e8"}], "source": source,
        "modules": [{"name": "edu"}]}
if os.environ.get("SIGN"):
    spec["signing"] = {"mode": "Secret", "secretRef": "fleet"}
node = {
    "apiVersion": "farrier.dev/v1alpha1", "kind": "AcceleratorNode",
    "metadata": {"name": name, "uid": "11111111-2222-3333-4444-555555555555", "generation": 1 + bool(digest)},
    "spec": {
        "drivers": [{"name": "edu", "generation": 1, "spec": spec}],
        "builds": [build]}}
with open(path + ".tmp", "w") as f:
    json.dump(node, f)
os.rename(path + ".tmp", path)
