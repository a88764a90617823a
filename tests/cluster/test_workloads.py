"""Pods of other controllers, and Pods of nobody, in a namespace that the profile selects."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.client import Object
from tests.cluster.control_plane import Cluster
from tests.cluster.nodes import ORDINARY_NODE, VIRTUAL_NODE
from tests.cluster.placing import PLACED, examples_in_force, is_placed
from tests.cluster.process import eventually
from tests.cluster.workloads import (
    agent_workflow,
    bare_pod,
    prepare_examples,
    workload,
)

pytestmark = pytest.mark.usefixtures("webhook")


@pytest.fixture(scope="module")
def webhook(session_cluster: Cluster) -> Iterator[None]:
    """Put the real webhook in force."""
    prepare_examples(session_cluster.admin)
    with examples_in_force(session_cluster):
        yield


def bound_pods(cluster: Cluster, count: int, selector: str) -> list[Object]:
    """Wait until that many Pods are bound, and return them."""

    def seek() -> list[Object] | None:
        pods = cluster.admin.list("Pod", PLACED, labelSelector=selector)
        bound = [pod for pod in pods if pod["spec"].get("nodeName")]
        return bound if len(bound) >= count else None

    return eventually(seek, f"{count} bound Pods with {selector}")


def ready(cluster: Cluster, kind: str, name: str, field: str, count: int) -> Object:
    """Wait until a controller counts that many Pods in a field of its status."""

    def seek() -> Object | None:
        current = cluster.admin.get(kind, name, PLACED)
        return current if current.get("status", {}).get(field) == count else None

    return eventually(seek, f"{field} {count} of {kind} {name}")


def test_a_deployment_is_placed_and_gets_ready(cluster: Cluster) -> None:
    """A Deployment gets exactly its Pods, on the virtual node, and takes them for its own."""
    cluster.admin.create(workload("Deployment", "web", replicas=3), PLACED)
    ready(cluster, "Deployment", "web", "readyReplicas", 3)
    pods = bound_pods(cluster, 3, "app=web")
    assert len(pods) == 3
    for pod in pods:
        assert is_placed(pod)
        assert pod["spec"]["nodeName"] == VIRTUAL_NODE
    cluster.admin.delete("Deployment", "web", PLACED)


def test_a_job_is_placed_and_completes(cluster: Cluster) -> None:
    """A Job runs its Pods on the virtual node and completes."""
    cluster.admin.create(workload("Job", "sum", completions=2, parallelism=2), PLACED)
    ready(cluster, "Job", "sum", "succeeded", 2)
    pods = bound_pods(cluster, 2, "batch.kubernetes.io/job-name=sum")
    assert {pod["spec"]["nodeName"] for pod in pods} == {VIRTUAL_NODE}


def test_a_daemonset_stays_on_the_ordinary_node(cluster: Cluster) -> None:
    """A DaemonSet's Pods are left as they are: one on the ordinary node, none on the virtual."""
    cluster.admin.create(workload("DaemonSet", "agent"), PLACED)
    ready(cluster, "DaemonSet", "agent", "numberReady", 1)
    (pod,) = bound_pods(cluster, 1, "app=agent")
    assert pod["spec"]["nodeName"] == ORDINARY_NODE
    assert "nodeSelector" not in pod["spec"]
    assert "annotations" not in pod["metadata"]
    cluster.admin.delete("DaemonSet", "agent", PLACED)


def test_a_bare_pod_is_placed(cluster: Cluster) -> None:
    """A Pod that nobody controls, with a generated name, is placed."""
    name = cluster.admin.create(bare_pod(), PLACED)["metadata"]["name"]

    def completed() -> Object | None:
        pod = cluster.admin.get("Pod", name, PLACED)
        return pod if pod["status"]["phase"] == "Succeeded" else None

    pod = eventually(completed, f"the end of Pod {name}")
    assert is_placed(pod)
    assert pod["spec"]["nodeName"] == VIRTUAL_NODE


def test_an_agent_pod_is_placed(cluster: Cluster) -> None:
    """The Pod that Argo makes for a workflow's HTTP requests is placed like the others."""
    workflow = cluster.admin.create(agent_workflow(PLACED))
    (pod,) = bound_pods(cluster, 1, "workflows.argoproj.io/component=agent")
    assert is_placed(pod)
    assert pod["spec"]["nodeName"] == VIRTUAL_NODE
    cluster.admin.delete("Workflow", workflow["metadata"]["name"], PLACED)


def test_kubectl_shows_the_patch_without_creating(cluster: Cluster) -> None:
    """``kubectl create --dry-run=server`` shows what a creation then really gives."""
    arguments = ("create", "--namespace", PLACED, "--output=json", "--filename=-")
    pod = bare_pod("shown")
    shown = json.loads(cluster.plane.kubectl(*arguments, "--dry-run=server", manifest=pod))
    assert not cluster.admin.find("Pod", "shown", PLACED)
    created = json.loads(cluster.plane.kubectl(*arguments, manifest=pod))
    assert is_placed(shown)
    assert patched(shown) == patched(created)


def patched(pod: Object) -> Object:
    """Return what a patch can change, without the token volume, whose name the server makes up."""
    spec = {
        key: value for key, value in pod["spec"].items() if key not in ("volumes", "containers")
    }
    metadata = pod["metadata"]
    return {"spec": spec, **{key: metadata.get(key) for key in ("annotations", "labels")}}
