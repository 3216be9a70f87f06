#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks of manifests/: what helm and kubectl make of them, without a cluster."""
import glob
import itertools
import json
import os
import re
import subprocess
import sys

import yaml

CHART = "manifests/chart"
NS = "farrier-system"
checks = []


def check(name):
    def add(f):
        checks.append((name, f))
        return f
    return add


def run(*args, stdin=None):
    return subprocess.run(args, input=stdin, capture_output=True, text=True)


def render(*sets, hooks=True):
    p = run("helm", "template", "farrier", CHART, "--namespace", NS, *([] if hooks else ["--no-hooks"]), *itertools.chain(*(("--set", s) for s in sets)))
    assert p.returncode == 0, p.stderr
    return [d for d in yaml.safe_load_all(p.stdout) if d]


def of(objects, kind):
    return [o for o in objects if o["kind"] == kind]


VARIANTS = [[], ["devicePlugin.mode=HostService"], ["devicePlugin.modeByLabel=true"],
            ["devicePlugin.modeByLabel=true", "devicePlugin.mode=HostService"],
            ["networkPolicy.enabled=true", "controller.replicas=1", "controller.metricsPort=0"],
            ["flowSchema.priorityLevel=", "toolchain.enabled=true", "crds.enabled=false"],
            ["uninstallHook.enabled=false"],
            ["startupTaint=startup-taint.cluster-autoscaler.kubernetes.io/farrier"], ["topology.enabled=true"],
            ["driverBuilder.signingSecrets={k,l}", "driverBuilder.signingNodes={n1,n2}", "devicePlugin.modeByLabel=true",
             "networkPolicy.enabled=true"],
            ["image.digest=sha256:" + "0" * 64, "rbac.create=false", "kubelet.root=/var/lib/k0s/kubelet"]]


@check("chart: helm lint")
def lint():
    p = run("helm", "lint", "--strict", CHART)
    assert p.returncode == 0, p.stdout + p.stderr


@check("chart: unknown and wrong values are refused")
def refused():
    for s in ["devicePlugin.moed=DaemonSet", "devicePlugin.mode=Daemonset", "controller.replicas=-1", "kubelet.root=var",
              "image.digest=abc", "startupTaint=a b", "unknown=1", "devicePlugin.modeByLabel=maybe",
              "trust.quorum=0", "trust.quorum=10", "topology.intervalSeconds=1"]:
        p = run("helm", "template", "farrier", CHART, "--set", s)
        assert p.returncode != 0 and s.split("=")[0].split(".")[-1] in p.stderr, f"{s}: {p.stderr or 'accepted'}"


@check("chart: how many builders have to agree")
def quorum():
    for sets, want in [([], None), (["trust.quorum=2"], None), (["registry.url=r.example/x", "trust.builders={a,b*}"], None),
                       (["registry.url=r.example/x", "trust.builders={a,b*}", "trust.quorum=2"], "2")]:
        args = [d for d in of(render(*sets), "Deployment") if d["metadata"]["name"].endswith("controller")][0]
        args = args["spec"]["template"]["spec"]["containers"][0]["args"]
        assert ("--quorum" in args) == bool(want), f"{sets}: {args}"
        assert not want or (args[args.index("--quorum") + 1] == want and args[args.index("--builders") + 1] == "a,b*"), f"{args}"


@check("chart: signatures from outside")
def signatures():
    def agent(*sets):
        d = [x for x in of(render(*sets), "DaemonSet") if x["metadata"]["name"].endswith("driver-builder")][0]
        return d["spec"]["template"]["spec"]

    spec = agent("driverBuilder.signatures=sigs")
    volume = [v for v in spec["volumes"] if v["name"] == "signatures"][0]["configMap"]
    assert volume["name"] == "sigs" and volume["optional"], f"{volume}"
    mount = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "signatures"][0]
    assert mount["mountPath"] == "/etc/farrier/signatures" and mount["readOnly"], f"{mount}"
    assert not [v for v in agent()["volumes"] if v["name"] == "signatures"]


@check("chart: every object is whole, has its namespace and its labels")
def whole():
    for v in VARIANTS:
        seen = set()
        for o in render(*v):
            m = o["metadata"]
            key = (o["kind"], m.get("namespace"), m["name"])
            assert key not in seen, f"{v}: {key} twice"
            seen.add(key)
            assert m["labels"]["app.kubernetes.io/name"] == "farrier", f"{v}: {key}"
            spec = o.get("spec", {}).get("template", {}).get("spec")
            if not spec:
                continue
            assert m["namespace"] == NS, key
            if o["kind"] != "Job":
                want, have = o["spec"]["selector"]["matchLabels"], o["spec"]["template"]["metadata"]["labels"]
                assert want.items() <= have.items(), f"{v}: {key} does not select its own pods"
            names = [x["name"] for x in spec.get("volumes", [])]
            assert len(names) == len(set(names)), f"{v}: {key}: volumes {names}"
            for c in spec["containers"]:
                for mount in c.get("volumeMounts", []):
                    assert mount["name"] in names, f"{v}: {key}: no volume {mount['name']}"
        accounts = {k[2] for k in seen if k[0] == "ServiceAccount"}
        for o in render(*v):
            spec = o.get("spec", {}).get("template", {}).get("spec")
            assert not spec or spec["serviceAccountName"] in accounts, f"{v}: {o['metadata']['name']}"


@check("chart: no pod of one workload is selected by another")
def disjoint():
    for v in VARIANTS:
        workloads = of(render(*v), "DaemonSet") + of(render(*v), "Deployment")
        for job in of(render(*v), "Job"):
            for w in workloads:
                assert not w["spec"]["selector"]["matchLabels"].items() <= job["spec"]["template"]["metadata"]["labels"].items(), \
                    f"{v}: {w['metadata']['name']} selects pods of {job['metadata']['name']}"
        for a, b in itertools.permutations(workloads, 2):
            sel = a["spec"]["selector"]["matchLabels"]
            assert not sel.items() <= b["spec"]["template"]["metadata"]["labels"].items(), \
                f"{v}: {a['metadata']['name']} selects pods of {b['metadata']['name']}"


def lands(workload, labels, name="n"):
    """Whether a pod of this DaemonSet would be put on a node of this name with these labels."""
    spec = workload["spec"]["template"]["spec"]
    if not spec.get("nodeSelector", {}).items() <= labels.items():
        return False
    need = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if not need:
        return True
    for term in need["nodeSelectorTerms"]:
        pairs = [(labels.get(e["key"]), e) for e in term.get("matchExpressions", [])]
        pairs += [({"metadata.name": name}[e["key"]], e) for e in term.get("matchFields", [])]
        if all((value in e["values"]) == (e["operator"] == "In") for value, e in pairs):
            return True
    return False


@check("chart: each node has one agent, and a plugin pod where its mode is DaemonSet only")
def one_agent():
    for default, by_label in itertools.product(["DaemonSet", "HostService"], ["true", "false"]):
        sets = of(render(f"devicePlugin.mode={default}", f"devicePlugin.modeByLabel={by_label}"), "DaemonSet")
        for label in [None, "DaemonSet", "HostService", "other"]:
            labels = {"kubernetes.io/os": "linux"}
            if label:
                labels["farrier.dev/device-plugin-mode"] = label
            here = [o for o in sets if lands(o, labels)]
            agents = [o for o in here if "driver-builder" in o["metadata"]["name"]]
            plugins = [o for o in here if "device-plugin" in o["metadata"]["name"]]
            assert len(agents) == 1, f"default {default}, label {label}: {len(agents)} agents"
            mode = label if by_label == "true" and label in ("DaemonSet", "HostService") else default
            args = agents[0]["spec"]["template"]["spec"]["containers"][0]["args"]
            assert args[args.index("--plugin-mode") + 1] == mode, f"default {default}, label {label}: {args}"
            assert len(plugins) == (mode == "DaemonSet"), f"default {default}, label {label}: {len(plugins)} plugins"


@check("chart: an own node affinity beside one that the chart makes is refused, not dropped")
def affinity():
    for own in ["devicePlugin.modeByLabel=true", "driverBuilder.signingSecrets={k},driverBuilder.signingNodes={n1}"]:
        p = run("helm", "template", "farrier", CHART, "--set", own, "--set-json",
                'driverBuilder.affinity={"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":'
                '{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"Exists"}]}]}}}')
        assert p.returncode != 0 and "nodeSelector instead" in p.stderr, p.stderr


@check("chart: signing keys are seen on the nodes that the admin names only, by agents with an account of their own")
def signing():
    p = run("helm", "template", "farrier", CHART, "--set", "driverBuilder.signingSecrets={k}")
    assert p.returncode != 0 and "signingNodes" in p.stderr, p.stderr
    keys = ["driverBuilder.signingSecrets={k,l}", "driverBuilder.signingCertificates=certs"]
    for by_label, names in itertools.product(["true", "false"], ["n1,n2", "*"]):
        objects = render(*keys, f"driverBuilder.signingNodes={{{names}}}", f"devicePlugin.modeByLabel={by_label}")
        for name, label in itertools.product(["n1", "n2", "n3"], [None, "HostService"]):
            labels = {"kubernetes.io/os": "linux", "farrier.dev/device-plugin-mode": label}
            here = [o for o in of(objects, "DaemonSet") if "driver-builder" in o["metadata"]["name"] and lands(o, labels, name)]
            assert len(here) == 1, f"{names}, {name}: {[o['metadata']['name'] for o in here]}"
            spec = here[0]["spec"]["template"]["spec"]
            secrets = [v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v]
            certs = [v["configMap"]["items"] for v in spec["volumes"] if v.get("configMap", {}).get("name") == "certs"]
            mounts = [m["mountPath"] for m in spec["containers"][0]["volumeMounts"] if m["name"].startswith("signing-")]
            signs = names == "*" or name in names.split(",")
            assert secrets == (["k", "l"] if signs else []), f"{names}, {name}: {secrets}"
            want = [] if signs else [[{"key": f"{x}.crt", "path": "tls.crt"}] for x in "kl"]
            assert certs == want, f"{names}, {name}: {certs}"
            assert mounts == ["/etc/farrier/signing/k", "/etc/farrier/signing/l"], f"{names}, {name}: {mounts}"
            own = "farrier-driver-builder" + ("-signer" if signs and names != "*" else "")
            assert spec["serviceAccountName"] == own, f"{names}, {name}: {spec['serviceAccountName']}"
    # Whatever an agent may, may not or is asked for is the same for those that sign.
    for o in render(*keys, "driverBuilder.signingNodes={n1}", "devicePlugin.mode=HostService"):
        if o["kind"] not in ("DaemonSet", "ServiceAccount", "ValidatingAdmissionPolicyBinding"):
            text = json.dumps(o.get("subjects") or o.get("spec") or {})
            assert ("farrier-driver-builder" in text) == ("farrier-driver-builder-signer" in text), f"{o['kind']} {o['metadata']['name']}"


@check("chart: nobody may read secrets, write what decides over kernels, or anything at all")
def rights():
    for v in VARIANTS:
        for o in of(render(*v), "ClusterRole") + of(render(*v), "Role"):
            for r in o.get("rules", []):
                where = f"{v}: {o['metadata']['name']}: {r}"
                assert "*" not in r["verbs"] + r["resources"] + r["apiGroups"], where
                assert "secrets" not in r["resources"], where
                writes = {"create", "update", "patch", "delete", "deletecollection", "escalate", "bind", "impersonate"}
                if "acceleratordrivers" in r["resources"] and writes & set(r["verbs"]):
                    assert o["metadata"]["name"] in ("farrier-controller", "farrier-uninstall"), where
                    assert writes & set(r["verbs"]) == {"patch"}, where
                assert not {"escalate", "bind", "impersonate"} & set(r["verbs"]), where
                if "driver-builder" in o["metadata"]["name"]:
                    assert writes & set(r["verbs"]) <= {"patch"} and (
                        "patch" not in r["verbs"] or r["resources"] == ["acceleratornodes/status"]), where


@check("chart: topology is off; on, agents ask the kubelet of this cluster and the controller alone may publish")
def topology():
    for v, on in [([], False), (["topology.enabled=true", "kubelet.root=/var/lib/k0s/kubelet"], True)]:
        objects = render(*v)
        agents = [o for o in of(objects, "DaemonSet") if "driver-builder" in o["metadata"]["name"]]
        args = agents[0]["spec"]["template"]["spec"]["containers"][0]["args"]
        assert ("--topology" in args) == on, args
        assert ("/var/lib/k0s/kubelet/pod-resources/kubelet.sock" in args) == on, args
        assert ("--topology" in of(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["args"]) == on
        may = {o["metadata"]["name"] for o in of(objects, "ClusterRole") for r in o.get("rules", [])
               if "topology.node.k8s.io" in r["apiGroups"]}
        assert may == ({"farrier-controller"} if on else set()), may


@check("chart: the plugin has no token, no capability and writes only its own folders; the controller is nobody")
def least():
    objects = render()
    plugin = [o for o in of(objects, "DaemonSet") if o["metadata"]["name"] == "farrier-device-plugin"][0]
    spec = plugin["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    ctx = spec["containers"][0]["securityContext"]
    assert ctx["capabilities"] == {"drop": ["ALL"]} and not ctx["allowPrivilegeEscalation"] and ctx["readOnlyRootFilesystem"]
    rw = {m["mountPath"] for m in spec["containers"][0]["volumeMounts"] if not m.get("readOnly")}
    assert rw == {"/var/lib/kubelet/device-plugins", "/run/farrier", "/var/run/cdi"}, rw
    spec = of(objects, "Deployment")[0]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and "volumes" not in spec
    for o in of(objects, "DaemonSet"):
        spec = o["spec"]["template"]["spec"]
        assert spec["priorityClassName"] == "system-node-critical"
        assert {"operator": "Exists"} in spec["tolerations"]


@check("chart: a start-up taint is nobody's business unless asked for; then the controller runs in spite of it")
def startup_taint():
    spec = of(render(), "Deployment")[0]["spec"]["template"]["spec"]
    assert "--startup-taint" not in spec["containers"][0]["args"], spec
    before = spec["tolerations"]
    spec = of(render("startupTaint=example.com/farrier"), "Deployment")[0]["spec"]["template"]["spec"]
    args = spec["containers"][0]["args"]
    assert args[args.index("--startup-taint") + 1] == "example.com/farrier", args
    assert spec["tolerations"] == before + [{"key": "example.com/farrier", "operator": "Exists"}], spec["tolerations"]


@check("chart: where there is one node, its own wave neither evicts the controller nor keeps it away")
def one_node():
    pod = of(render(), "Deployment")[0]["spec"]["template"]
    assert pod["metadata"]["labels"]["farrier.dev/skip-drain"] == "true", pod["metadata"]
    assert {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"} in pod["spec"]["tolerations"]


@check("chart: the hooks: each is whole by itself, unprivileged, ends, and may do what it does and no more")
def hooks():
    for v in VARIANTS:
        objects = [o for o in render(*v) if "helm.sh/hook" in o["metadata"].get("annotations", {})]
        for event, suffix in [("test", "test"), ("pre-delete", "uninstall")]:
            mine = [o for o in objects if o["metadata"]["annotations"]["helm.sh/hook"] == event]
            if suffix == "uninstall" and "uninstallHook.enabled=false" in v:
                assert not mine, v
                continue
            for o in mine:
                assert o["metadata"]["name"] == f"farrier-{suffix}", f"{v}: {o['metadata']['name']}"
                # nothing of it is part of the release, so nothing else would remove it
                assert "hook-succeeded" in o["metadata"]["annotations"]["helm.sh/hook-delete-policy"], v
            job = of(mine, "Job")[0]
            weights = {o["kind"]: int(o["metadata"]["annotations"]["helm.sh/hook-weight"]) for o in mine}
            assert all(weights[k] < weights["Job"] for k in weights if k != "Job"), weights
            assert job["spec"]["activeDeadlineSeconds"] > 120 and job["spec"]["backoffLimit"] <= 2
            spec = job["spec"]["template"]["spec"]
            ctx = spec["containers"][0]["securityContext"]
            assert spec["securityContext"]["runAsNonRoot"] and ctx["capabilities"] == {"drop": ["ALL"]} and "volumes" not in spec
            assert {"operator": "Exists"} in spec["tolerations"], "a tainted node would hold it"
            if "rbac.create=false" in v:
                continue
            rules = [r for k in ("Role", "ClusterRole") for o in of(mine, k) for r in o["rules"]]
            verbs = {x for r in rules for x in r["verbs"]}
            assert verbs <= ({"get"} if suffix == "test" else {"get", "list", "patch", "update"}), verbs
            named = [r for r in rules if r["apiGroups"] in (["apps"], ["coordination.k8s.io"])]
            assert named and all(r.get("resourceNames") for r in named), rules


@check("chart: uninstalling asks just those agents that run the plugin as a service of the host")
def retired():
    for sets, agents in [([], None), (["devicePlugin.mode=HostService"], "farrier-driver-builder"),
                         (["devicePlugin.modeByLabel=true"], "farrier-driver-builder-hostservice"),
                         (["devicePlugin.mode=HostService", "devicePlugin.modeByLabel=true"], "farrier-driver-builder"),
                         (["devicePlugin.mode=HostService", "driverBuilder.signingSecrets={k}", "driverBuilder.signingNodes={n1}"],
                          "farrier-driver-builder,farrier-driver-builder-signer")]:
        objects = render(*sets)
        job = [o for o in of(objects, "Job") if o["metadata"]["name"] == "farrier-uninstall"][0]
        args = job["spec"]["template"]["spec"]["containers"][0]["args"]
        have = args[args.index("--agents") + 1] if "--agents" in args else None
        assert have == agents, f"{sets}: {args}"
        real = [o["metadata"]["name"] for o in of(objects, "DaemonSet")
                if "HostService" in o["spec"]["template"]["spec"]["containers"][0]["args"]]
        assert real == (agents.split(",") if agents else []), real


@check("manifests: the kustomize base is the chart with its defaults")
def kustomize():
    now = run("hack/kustomize.sh").stdout
    with open("manifests/kustomize/base/farrier.yaml") as f:
        assert f.read() == now, "it is out of date: run make manifests"
    p = run("kubectl", "kustomize", "manifests/kustomize/base")
    assert p.returncode == 0, p.stderr
    built = {(o["kind"], o["metadata"]["name"]) for o in yaml.safe_load_all(p.stdout) if o}
    wanted = {(o["kind"], o["metadata"]["name"]) for o in render(hooks=False)} | {("Namespace", NS)}
    assert built == wanted, built ^ wanted


@check("manifests: shipped classes have names of their own and say what they are")
def classes():
    names = set()
    for path in sorted(glob.glob("manifests/classes/*.yaml")):
        with open(path) as f:
            text = f.read()
        for o in yaml.safe_load_all(text):
            assert o["kind"] == "AcceleratorClass" and o["metadata"]["name"] not in names, path
            names.add(o["metadata"]["name"])
    assert "edu" in names, names


@check("chart: shipped classes are made when chosen, once the cluster knows their kind")
def chosen_classes():
    known = ("--api-versions", "farrier.dev/v1alpha1/AcceleratorClass")
    assert not of(render(), "AcceleratorClass"), "one is there by itself"
    p = run("helm", "template", "farrier", CHART, *known, "--set", "classes.enabled={nvidia,intel-gpu}")
    assert p.returncode == 0, p.stderr
    have = of([d for d in yaml.safe_load_all(p.stdout) if d], "AcceleratorClass")
    assert [o["metadata"]["name"] for o in have] == ["nvidia", "intel-gpu-i915", "intel-gpu-xe"], have
    p = run("helm", "template", "farrier", CHART, "--set", "classes.enabled={nvidia}")
    assert p.returncode != 0 and "then upgrade with it" in p.stderr, p.stderr
    p = run("helm", "template", "farrier", CHART, *known, "--set", "classes.enabled={nope}")
    assert p.returncode != 0 and "no class 'nope'" in p.stderr, p.stderr
    p = run("helm", "template", "farrier", CHART, *known, "--set", "classes.enabled={../crds/x}")
    assert p.returncode != 0 and "enabled" in p.stderr, p.stderr


@check("docs: every test that docs/cases.md names is there")
def cases():
    with open("docs/cases.md") as f:
        text = f.read()
    named = re.findall(r"`(test/[^`:]+):([^`]+)`", text)
    rows = {int(n) for n in re.findall(r"^\| (\d+) \|", text, re.M)}
    assert rows == set(range(1, 26)), f"rows {sorted(set(range(1, 26)) - rows)} are missing"
    for path, name in named:
        with open(path) as f:
            assert name in f.read(), f"{path} has no '{name}'"
    assert len(named) > 40


@check("argocd: health of each state")
def argocd():
    with open("manifests/argocd/health.yaml") as f:
        data = yaml.safe_load(f)["data"]
    scripts = set(data.values())
    assert len(scripts) == 1 and len(data) == 2
    n = 0
    for path in sorted(glob.glob("test/chart/argocd/*.yaml")):
        with open(path) as f:
            case = yaml.safe_load(f)
        p = run("lua5.4", "-", stdin=f"local obj = {lua(case['object'])}\nlocal function f()\n{scripts.copy().pop()}\nend\n"
                "local hs = f()\nprint(hs.status)\nprint(hs.message)\n")
        assert p.returncode == 0, f"{path}: {p.stderr}"
        status, message = p.stdout.rstrip("\n").split("\n", 1)
        assert status == case["status"] and case["message"] in message, f"{path}: {status}: {message}"
        n += 1
    assert n >= 6, f"only {n} cases"


def lua(v):
    if isinstance(v, dict):
        return "{" + ",".join(f"[{json.dumps(k)}]={lua(x)}" for k, x in v.items()) + "}"
    if isinstance(v, list):
        return "{" + ",".join(map(lua, v)) + "}"
    return json.dumps(v)


def main():
    bad = 0
    for name, f in checks:
        if len(sys.argv) > 1 and f.__name__ not in sys.argv[1:]:
            continue
        try:
            f()
            print(f"ok {name}", flush=True)
        except Exception as e:  # a check that stumbles has failed
            bad += 1
            print(f"not ok {name}: {type(e).__name__}: {e}", flush=True)
    return bad > 0


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    sys.exit(main())
