"""What Argo's workflow-controller does when Pods are refused: facts that the design rests on."""

from dataclasses import dataclass

import pytest

from tests.cluster.client import Object
from tests.cluster.configuration import scripted_webhook
from tests.cluster.control_plane import Cluster
from tests.cluster.nodes import ORDINARY_NODE, VIRTUAL_NODE
from tests.cluster.process import eventually
from tests.cluster.scripted import (
    HANG_UP,
    UNAVAILABLE,
    UNAVAILABLE_WITHOUT_HINT,
    Reply,
    deny,
    patch,
)
from tests.cluster.workloads import example_workflow, finished_workflow, one_pod_workflow, pods_of

PLACE = patch(
    {"op": "add", "path": "/spec/nodeSelector", "value": {"type": "virtual-kubelet"}},
    {
        "op": "add",
        "path": "/spec/tolerations/-",
        "value": {"key": "vci.vke.volcengine.com/node-type", "operator": "Exists"},
    },
)
INAPPLICABLE = patch({"op": "add", "path": "/spec/nothing/here", "value": "1"})
SILENT = Reply(after_seconds=60)


@dataclass(slots=True)
class Run:
    """How a workflow of one step went."""

    workflow: Object
    pods: list[Object]
    calls: int

    @property
    def phase(self) -> str:
        return str(self.workflow["status"]["phase"])

    @property
    def node(self) -> Object:
        """Return the step's node (Argo's word for a step's state) in the workflow's status."""
        (node,) = self.workflow["status"]["nodes"].values()
        return dict(node)

    @property
    def bound_to(self) -> list[str]:
        return [pod["spec"]["nodeName"] for pod in self.pods]


def run(cluster: Cluster, namespace: str, *script: Reply, **settings: object) -> Run:
    """Run a workflow of one step to its end while a webhook answers as scripted."""
    with scripted_webhook(cluster, namespace, *script, **settings) as webhook:
        submitted = cluster.admin.create(one_pod_workflow(namespace))
        workflow = finished_workflow(cluster.admin, submitted)
        return Run(workflow, pods_of(cluster.admin, workflow), len(webhook.requests))


def test_a_denial_with_429_is_asked_again(cluster: Cluster, namespace: str) -> None:
    """A denial with 429 leaves the node Pending, with our message, and is asked again."""
    with scripted_webhook(cluster, namespace, deny(429, "wait for VCI")) as webhook:
        submitted = cluster.admin.create(one_pod_workflow(namespace))
        pending = pending_node(cluster, submitted)
        assert "wait for VCI" in pending["message"]
        eventually(lambda: len(webhook.requests) >= 2, "a second call")
        webhook.script = [PLACE]
        workflow = finished_workflow(cluster.admin, submitted)
    assert workflow["status"]["phase"] == "Succeeded"
    assert [pod["spec"]["nodeName"] for pod in pods_of(cluster.admin, workflow)] == [VIRTUAL_NODE]


def pending_node(cluster: Cluster, submitted: Object) -> Object:
    """Wait until the only node of a workflow is Pending."""
    metadata = submitted["metadata"]

    def seek() -> Object | None:
        workflow = cluster.admin.get("Workflow", metadata["name"], metadata["namespace"])
        nodes = workflow.get("status", {}).get("nodes", {}).values()
        return next((node for node in nodes if node["phase"] == "Pending"), None)

    return eventually(seek, "a pending node")


def test_503_with_retry_after_is_not_noticed(cluster: Cluster, namespace: str) -> None:
    """503 with Retry-After twice, then a patch: Argo sees one create that took two seconds."""
    result = run(cluster, namespace, UNAVAILABLE, UNAVAILABLE, PLACE, failurePolicy="Fail")
    assert result.phase == "Succeeded"
    assert result.bound_to == [VIRTUAL_NODE]
    assert result.calls == 3


def test_a_denial_with_403_ends_the_workflow(cluster: Cluster, namespace: str) -> None:
    """A denial with 403 is final: the node is an Error with our message."""
    result = run(cluster, namespace, deny(403, "not on my nodes"))
    assert result.phase == "Error"
    assert result.node["phase"] == "Error"
    assert "denied the request: not on my nodes" in result.node["message"]
    assert result.calls == 1


def test_a_denial_fails_the_steps_around_it(cluster: Cluster, namespace: str) -> None:
    """The step whose Pod is denied is an Error, the steps around it and the workflow Failed."""
    manifest = example_workflow("steps")
    manifest["metadata"]["namespace"] = namespace
    with scripted_webhook(cluster, namespace, deny(403, "not on my nodes")):
        workflow = finished_workflow(cluster.admin, cluster.admin.create(manifest))
    phases = {node["displayName"]: node["phase"] for node in workflow["status"]["nodes"].values()}
    assert workflow["status"]["phase"] == "Failed"
    assert phases["hello1"] == "Error"
    assert "denied the request: not on my nodes" in workflow["status"]["message"]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(HANG_UP, "EOF", id="hangs up"),
        pytest.param(SILENT, "context deadline exceeded", id="says nothing"),
        pytest.param(UNAVAILABLE, "context deadline exceeded", id="503 with Retry-After"),
        pytest.param(UNAVAILABLE_WITHOUT_HINT, "currently unable to handle", id="503 without"),
    ],
)
def test_a_call_that_fails_ends_the_workflow_with_fail(
    cluster: Cluster, namespace: str, reply: Reply, message: str
) -> None:
    """With Fail, a webhook that hangs up, says nothing or stays 503 ends the workflow."""
    result = run(cluster, namespace, reply, failurePolicy="Fail", timeoutSeconds=1)
    assert result.phase == "Error"
    assert result.node["phase"] == "Error"
    assert message in result.node["message"]
    assert not result.pods


def test_a_call_that_fails_loses_the_placement_with_ignore(
    cluster: Cluster, namespace: str
) -> None:
    """With Ignore, a webhook that hangs up is not noticed: every Pod is on the ordinary node."""
    result = run(cluster, namespace, HANG_UP, failurePolicy="Ignore")
    assert result.phase == "Succeeded"
    assert result.bound_to == [ORDINARY_NODE]


def test_a_patch_that_does_not_apply_ends_the_workflow(cluster: Cluster, namespace: str) -> None:
    """A patch that does not apply ends the workflow even with Ignore."""
    result = run(cluster, namespace, INAPPLICABLE, failurePolicy="Ignore")
    assert result.phase == "Error"
    assert result.node["phase"] == "Error"
    assert "doc is missing path" in result.node["message"]
