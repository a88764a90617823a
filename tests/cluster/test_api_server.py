"""What the API server does with a webhook's answers: facts that the webhook's design rests on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.cluster.client import ApiError, Object
from tests.cluster.configuration import scripted_webhook
from tests.cluster.control_plane import Cluster
from tests.cluster.process import eventually
from tests.cluster.scripted import (
    BROKEN,
    HANG_UP,
    MARK,
    UNAVAILABLE,
    UNAVAILABLE_WITHOUT_HINT,
    Reply,
    deny,
    patch,
)
from tests.cluster.workloads import bare_pod

INAPPLICABLE = patch({"op": "add", "path": "/spec/nothing/here", "value": "1"})
MISTYPED = patch({"op": "add", "path": "/spec/nodeSelector", "value": {"type": 1}})
ILLEGAL = patch({"op": "add", "path": "/metadata/labels", "value": {"marked": "not legal!"}})
SILENT = Reply(after_seconds=60)
POLICIES = ("Ignore", "Fail")


@dataclass(slots=True)
class Attempt:
    """How the creation of one Pod went."""

    pod: Object | None = None
    error: ApiError | None = None
    seconds: float = 0
    calls: int = 0

    @property
    def is_marked(self) -> bool:
        return bool(self.pod and self.pod["metadata"].get("labels") == {"marked": "true"})

    @property
    def is_unchanged(self) -> bool:
        return bool(self.pod and "labels" not in self.pod["metadata"])

    def is_refused(self, status: int, message: str) -> bool:
        return bool(self.error and self.error.status == status and message in self.error.message)


def create(
    cluster: Cluster, namespace: str, *script: Reply, policy: str, timeout_seconds: int = 5
) -> Attempt:
    """Create a Pod while a webhook answers as scripted."""
    settings = {"failurePolicy": policy, "timeoutSeconds": timeout_seconds}
    attempt = Attempt()
    with scripted_webhook(cluster, namespace, *script, **settings) as webhook:
        started = time.monotonic()
        try:
            attempt.pod = cluster.admin.create(bare_pod(), namespace)
        except ApiError as error:
            attempt.error = error
        attempt.seconds = time.monotonic() - started
        attempt.calls = len(webhook.requests)
    return attempt


def test_503_with_retry_after_is_asked_again(cluster: Cluster, namespace: str) -> None:
    """After each 503 with Retry-After: 1 the API server waits a second and asks again."""
    attempt = create(cluster, namespace, UNAVAILABLE, UNAVAILABLE, MARK, policy="Fail")
    assert attempt.is_marked
    assert attempt.calls == 3
    assert 2 <= attempt.seconds < 4


def test_503_with_retry_after_for_ever_ends_at_the_timeout(
    cluster: Cluster, namespace: str
) -> None:
    """Asking again ends when timeoutSeconds are over; with Ignore the Pod passes unchanged."""
    attempt = create(cluster, namespace, UNAVAILABLE, policy="Ignore", timeout_seconds=2)
    assert attempt.is_unchanged
    assert attempt.calls >= 2
    assert 1.9 <= attempt.seconds < 4


def test_503_without_retry_after_fails_at_once(cluster: Cluster, namespace: str) -> None:
    """Without Retry-After a 503 is not asked again; with Fail the Pod is refused."""
    attempt = create(cluster, namespace, UNAVAILABLE_WITHOUT_HINT, MARK, policy="Fail")
    message = "the server is currently unable to handle the request"
    assert attempt.is_refused(500, message)
    assert attempt.calls == 1
    assert attempt.seconds < 1


def test_500_passes_the_pod_unchanged_with_ignore(cluster: Cluster, namespace: str) -> None:
    """With Ignore, a 500 lets the Pod pass unchanged, at once."""
    attempt = create(cluster, namespace, BROKEN, MARK, policy="Ignore")
    assert attempt.is_unchanged
    assert attempt.calls == 1
    assert attempt.seconds < 1


def test_hang_up_passes_the_pod_unchanged_with_ignore(cluster: Cluster, namespace: str) -> None:
    """With Ignore, a connection that ends without an answer lets the Pod pass unchanged."""
    assert create(cluster, namespace, HANG_UP, policy="Ignore").is_unchanged


def test_hang_up_refuses_the_pod_with_fail(cluster: Cluster, namespace: str) -> None:
    """With Fail, a connection that ends without an answer refuses the Pod with "EOF"."""
    assert create(cluster, namespace, HANG_UP, policy="Fail").is_refused(500, "EOF")


def test_silence_passes_the_pod_unchanged_with_ignore(cluster: Cluster, namespace: str) -> None:
    """With Ignore, a webhook that says nothing in timeoutSeconds delays the Pod by just that."""
    attempt = create(cluster, namespace, SILENT, policy="Ignore", timeout_seconds=1)
    assert attempt.is_unchanged
    assert 1 <= attempt.seconds < 3


def test_silence_refuses_the_pod_with_fail(cluster: Cluster, namespace: str) -> None:
    """With Fail, a webhook that says nothing in timeoutSeconds refuses the Pod."""
    attempt = create(cluster, namespace, SILENT, policy="Fail", timeout_seconds=1)
    assert attempt.is_refused(500, "context deadline exceeded")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_patch_that_does_not_apply_refuses_the_pod(
    cluster: Cluster, namespace: str, policy: str
) -> None:
    """A patch that does not apply refuses the Pod whatever the failurePolicy."""
    attempt = create(cluster, namespace, INAPPLICABLE, policy=policy)
    assert attempt.is_refused(500, "add operation does not apply: doc is missing path")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_patch_of_the_wrong_type_refuses_the_pod(
    cluster: Cluster, namespace: str, policy: str
) -> None:
    """A number as a nodeSelector's value refuses the Pod whatever the failurePolicy."""
    attempt = create(cluster, namespace, MISTYPED, policy=policy)
    assert attempt.is_refused(500, "cannot unmarshal number")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_patch_with_an_illegal_label_refuses_the_pod(
    cluster: Cluster, namespace: str, policy: str
) -> None:
    """An illegal label value refuses the Pod whatever the failurePolicy, and names the field."""
    attempt = create(cluster, namespace, ILLEGAL, policy=policy)
    assert attempt.is_refused(422, "metadata.labels: Invalid value")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_denial_refuses_the_pod(cluster: Cluster, namespace: str, policy: str) -> None:
    """``allowed: false`` refuses the Pod whatever the failurePolicy, with its code and message."""
    attempt = create(cluster, namespace, deny(403, "not on my nodes"), policy=policy)
    assert attempt.is_refused(403, "denied the request: not on my nodes")


@contextmanager
def pod_with_tolerations(cluster: Cluster, namespace: str, *values: str) -> Iterator[str]:
    """Create a Pod that tolerates several values of one key, with one effect."""
    tolerations = [
        {"key": "team", "operator": "Equal", "value": value, "effect": "NoSchedule"}
        for value in values
    ]
    pod = bare_pod("tolerant", tolerations=tolerations)
    pod["metadata"]["finalizers"] = ["vci-webhook.test/held"]
    yield cluster.admin.create(pod, namespace)["metadata"]["name"]
    cluster.admin.patch("Pod", "tolerant", namespace, {"metadata": {"finalizers": None}})
    eventually(lambda: not cluster.admin.find("Pod", "tolerant", namespace), "the end of the Pod")


@pytest.mark.parametrize("values", [("a", "b"), ("a", "b", "c")])
def test_tolerations_may_differ_in_their_value_alone(
    cluster: Cluster, namespace: str, values: tuple[str, ...]
) -> None:
    """Tolerations with one key and effect and different values can be changed and deleted."""
    with pod_with_tolerations(cluster, namespace, *values) as name:
        change = {"metadata": {"labels": {"changed": "true"}}}
        changed = cluster.admin.patch("Pod", name, namespace, change)
        tolerated = [t["value"] for t in changed["spec"]["tolerations"] if t["key"] == "team"]
        assert tolerated == list(values)
        cluster.admin.delete("Pod", name, namespace)
        pod = cluster.admin.get("Pod", name, namespace)
        assert "deletionTimestamp" in pod["metadata"]


def test_an_admission_policy_can_place_too(cluster: Cluster, namespace: str) -> None:
    """MutatingAdmissionPolicy v1 is served and acts: annotations, nodeSelector, toleration."""
    expression = """[
      JSONPatch{op: "add", path: "/metadata/annotations", value: {"placed": "true"}},
      JSONPatch{op: "add", path: "/spec/nodeSelector", value: {"type": "virtual-kubelet"}},
      JSONPatch{op: "add", path: "/spec/tolerations/-", value: Object.spec.tolerations{
        key: "vci.vke.volcengine.com/node-type", operator: "Exists", effect: "NoSchedule"}}
    ]"""
    policy = mutating_policy(namespace, expression)
    cluster.admin.create(policy)
    cluster.admin.create(policy_binding(namespace))

    def placed() -> Object | None:
        pod = cluster.admin.create(bare_pod(), namespace, "?dryRun=All")
        return pod if pod["metadata"].get("annotations") == {"placed": "true"} else None

    pod = eventually(placed, "the policy in force")
    assert pod["spec"]["nodeSelector"] == {"type": "virtual-kubelet"}
    assert pod["spec"]["tolerations"][-1]["key"] == "vci.vke.volcengine.com/node-type"


def mutating_policy(namespace: str, expression: str) -> Object:
    """Return a policy for the Pods that are created in one namespace."""
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    labels = {"kubernetes.io/metadata.name": namespace}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": labels},
                "resourceRules": [rule],
            },
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
        },
    }


def policy_binding(namespace: str) -> Object:
    """Return what puts the policy of that name in force."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace},
    }
