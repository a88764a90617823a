"""Whatever rules do to their Pods, controllers end up with exactly the Pods that they asked for.

A controller that does not know its own Pods again makes others, without end. So what is counted is
every Pod that was ever created, by the API server's audit log, not those that are there.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.cluster.audit import AuditLog
from tests.cluster.client import Object
from tests.cluster.configuration import scripted_webhook
from tests.cluster.control_plane import Cluster
from tests.cluster.embedded import Embedded, embedded_webhook, rules
from tests.cluster.features import LABELS
from tests.cluster.limits import IGNORE, TOLERATIONS
from tests.cluster.process import eventually
from tests.cluster.scripted import Reply, deny, patch
from tests.cluster.workloads import create_namespace, workload
from tests.model.vocabulary import PREFERRED, REQUIRED

ON_LINUX = {
    "matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]
}
AFFINITY = {
    REQUIRED: {"nodeSelectorTerms": [ON_LINUX]},
    PREFERRED: [{"weight": 1, "preference": ON_LINUX}],
}
SELECTED_BY = {"app": "another", "batch.kubernetes.io/job-name": "another"}  # by selectors of ours
FIRST_CLASS = {
    "subnetIds": ["subnet-1"],
    "instanceFamilies": ["vci.u1"],
    "systemDiskGiB": 100,
    "resourceTags": {"team": "a"},
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rule, what it does to Pods (nothing, if no trace is expected), and to which."""

    rule: Object
    trace: str = "vci-webhook/applied"
    privileged: bool = False


def effect(placement: str = "allow", **fields: object) -> Kind:
    return Kind({"placement": placement, "onConflict": "override", "effect": fields})


KINDS = {
    "enforce": Kind({"placement": "enforce"}),
    "prefer": Kind({"placement": "prefer"}),
    "overflow": Kind({"placement": "overflow"}),
    "allow": Kind({"placement": "allow"}),
    "off": Kind({"placement": "off"}, trace=""),
    "shadow": Kind({"placement": "enforce", "mode": "shadow"}, trace=""),
    "labels": effect(labels={**LABELS, **SELECTED_BY}),
    "annotations": effect(annotations={"example.com/own": "overridden"}),
    "node-selector": effect(nodeSelector={"kubernetes.io/os": "linux"}),
    "tolerations": effect(tolerations=TOLERATIONS),
    "affinity": effect("enforce", nodeAffinity=AFFINITY),
    "first-class": effect("enforce", **FIRST_CLASS),
    "lifts": Kind({"placement": "enforce"}, privileged=True),
    "skipped": Kind({"placement": "prefer"}, trace="vci-webhook/skipped", privileged=True),
    "place": Kind({"placement": "allow", "onIncompatible": "place"}, privileged=True),
}
SCALED = ("Deployment", "ReplicaSet", "StatefulSet")


def workloads(*, privileged: bool) -> list[Object]:
    """Return one workload of each controller, of two Pods."""
    found = [workload(kind, kind.lower(), replicas=2) for kind in SCALED]
    twice = {"completions": 2, "parallelism": 2}
    found.append(workload("Job", "job", **twice))
    found.append(workload("Job", "indexed", completionMode="Indexed", **twice))
    for manifest in found:
        template = manifest["spec"]["template"]
        template.setdefault("metadata", {})["annotations"] = {"example.com/own": "own"}
        if privileged:
            template["spec"]["volumes"] = [{"name": "dir", "hostPath": {"path": "/data"}}]
            template["spec"]["dnsPolicy"] = "ClusterFirstWithHostNet"
            template["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    return found


@dataclass(frozen=True, slots=True)
class Running:
    """The controllers of one control plane at work, and the audit log since before they began."""

    cluster: Cluster
    webhook: Embedded
    log: AuditLog

    def wait(
        self, kind: str, name: str, namespace: str, is_reached: Callable[[Object], bool]
    ) -> None:
        """Wait until the status of a workload, up to date with its spec, is as it should be."""

        def seek() -> bool:
            found = self.cluster.admin.get(kind, name, namespace)
            status, generation = found.get("status", {}), found["metadata"]["generation"]
            return status.get("observedGeneration", generation) == generation and is_reached(status)

        eventually(seek, f"{kind} {name} in namespace {namespace} as it should be")


@pytest.fixture(scope="module")
def controllers(session_cluster: Cluster) -> Iterator[Running]:
    """Have a rule of each kind in force for a namespace of its own, with all workloads in it."""
    admin = session_cluster.admin
    items = [
        {"name": name, "namespaceSelector": {"matchLabels": {"kind": name}}, **kind.rule}
        for name, kind in KINDS.items()
    ]
    for name in KINDS:
        create_namespace(admin, f"kind-{name}")
    log = AuditLog(session_cluster.plane.audit_log)
    with embedded_webhook(session_cluster, *(f"kind-{name}" for name in KINDS)) as webhook:
        data = rules(*items, clusterType="selfBuilt", **IGNORE)
        assert webhook.use(data, {f"kind-{name}": {"kind": name} for name in KINDS}) == []
        for name, kind in KINDS.items():
            for manifest in workloads(privileged=kind.privileged):
                admin.create(manifest, f"kind-{name}")
        yield Running(session_cluster, webhook, log)
        for name in KINDS:
            admin.delete("Namespace", f"kind-{name}")


def expect_created(log: AuditLog, namespace: str, count: int, seconds: float = 0.5) -> None:
    """Expect that so many Pods were ever created in a namespace, and no more for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert log.created(namespace) == count
        time.sleep(0.05)


@pytest.mark.parametrize("name", KINDS)
def test_controllers_get_what_they_asked_for(controllers: Running, name: str) -> None:
    """Each controller is content with two Pods, and after it was scaled with three."""
    namespace, admin = f"kind-{name}", controllers.cluster.admin
    for replicas in (2, 3):
        for kind in SCALED:
            admin.patch(kind, kind.lower(), namespace, {"spec": {"replicas": replicas}})
        for kind in SCALED:
            controllers.wait(kind, kind.lower(), namespace, partial(has_ready, replicas))
        for job in ("job", "indexed"):
            controllers.wait("Job", job, namespace, is_complete)
        expect_created(controllers.log, namespace, len(SCALED) * replicas + 4)
    pods = admin.list("Pod", namespace)
    assert Counter(owner_of(pod) for pod in pods) == {
        "ReplicaSet deployment": 3,
        "ReplicaSet replicaset": 3,
        "StatefulSet statefulset": 3,
        "Job job": 2,
        "Job indexed": 2,
    }
    traces = [trace_of(pod) for pod in pods]
    assert traces == [KINDS[name].trace] * len(pods)


def has_ready(replicas: int, status: Object) -> bool:
    return bool(status.get("readyReplicas") == replicas)


def is_complete(status: Object) -> bool:
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    return conditions.get("Complete") == "True" and status["succeeded"] == 2


def owner_of(pod: Object) -> str:
    """Name the controller of a Pod, without the hash that a Deployment gives to its ReplicaSet."""
    (owner,) = pod["metadata"]["ownerReferences"]
    name = owner["name"]
    template_hash = pod["metadata"]["labels"].get("pod-template-hash", "")
    return f"{owner['kind']} {name.removesuffix(f'-{template_hash}')}"


def trace_of(pod: Object) -> str:
    annotations = pod["metadata"]["annotations"]
    return next((key for key in annotations if key.startswith("vci-webhook/")), "")


def overridden(path: str, value: str) -> Reply:
    return patch({"op": "add", "path": path, "value": value})


STORMS = {
    "label": (
        workload("Deployment", "web", replicas=1),
        overridden("/metadata/labels/app", "other"),
    ),
    "index": (
        workload("Job", "web", completionMode="Indexed", completions=2, parallelism=2),
        overridden("/metadata/annotations/batch.kubernetes.io~1job-completion-index", "0"),
    ),
}


@pytest.mark.parametrize(("manifest", "reply"), STORMS.values(), ids=STORMS)
def test_pods_without_end(cluster: Cluster, namespace: str, manifest: Object, reply: Reply) -> None:
    """What a controller knows its Pods by must stay: where a webhook overrides it, they get more.

    So a Deployment's label and the index of an Indexed Job; and the count above would show it.
    """
    log, asked = AuditLog(cluster.plane.audit_log), manifest["spec"].get("parallelism", 1)
    with scripted_webhook(cluster, namespace, *[reply] * 10, deny(403)):
        before = log.created(namespace)
        cluster.admin.create(manifest, namespace)
        eventually(lambda: log.created(namespace) >= before + asked + 2, "Pods beyond number")
        with pytest.raises(AssertionError):
            expect_created(log, namespace, before + asked)
        cluster.admin.delete(
            manifest["kind"], "web", namespace, {"propagationPolicy": "Background"}
        )


def test_a_selector_that_excludes_what_a_rule_adds(cluster: Cluster, namespace: str) -> None:
    """A rule must not add a label whose absence a controller selects by: it makes Pods without end.

    The webhook cannot see the selector. A quota ends it here.
    """
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    cluster.admin.create({**quota, "spec": {"hard": {"pods": "5"}}}, namespace)
    log = AuditLog(cluster.plane.audit_log)
    deployment = workload("Deployment", "web", replicas=1)
    stable = {"key": "track", "operator": "NotIn", "values": ["canary"]}
    deployment["spec"]["selector"]["matchExpressions"] = [stable]
    adds = {"name": "adds", "matchAll": True, "effect": {"labels": {"track": "canary"}}}
    with embedded_webhook(cluster, namespace) as webhook:
        webhook.use(rules(adds), {namespace: {}})
        cluster.admin.create(deployment, namespace)
        eventually(lambda: log.created(namespace) >= 4, "Pods beyond number")
        cluster.admin.delete("Deployment", "web", namespace, {"propagationPolicy": "Background"})
