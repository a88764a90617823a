"""Two webhooks on one Pod, while somebody moves here: a real API server asks both, in each order.

The other one is a script that does what volcengine-vci-admission says of itself: Pods with its
label get a node selector and a toleration, whether they have them or not.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import yaml

from tests.cluster.client import Object, read_manifests
from tests.cluster.configuration import configured, webhook_configuration
from tests.cluster.control_plane import EXAMPLES, Cluster
from tests.cluster.embedded import Embedded, embedded_webhook
from tests.cluster.nodes import VIRTUAL_NODE, VIRTUAL_NODE_TAINT
from tests.cluster.process import eventually
from tests.cluster.scripted import PROBE, Reply, ScriptedWebhook, patch
from tests.cluster.workloads import bare_pod, create_namespace

NAMESPACE = "moving"
LABEL = {"vke.volcengine.com/burst-to-vci": "enforce"}
TOLERATION = {"operator": "Equal", **VIRTUAL_NODE_TAINT}
APPEND = patch(
    {"op": "add", "path": "/spec/nodeSelector", "value": {"type": "virtual-kubelet"}},
    {"op": "add", "path": "/spec/tolerations/-", "value": TOLERATION},
)
ANNOTATION = "/metadata/annotations/vke.volcengine.com~1burst-to-vci"
MANAGED = patch(
    {"op": "add", "path": ANNOTATION, "value": "enforce"},
    {"op": "add", "path": "/spec/nodeSelector", "value": {"type": "virtual-kubelet"}},
    {"op": "add", "path": "/spec/tolerations/-", "value": TOLERATION},
)
FIRST, LAST = "a-vci-admission", "volcengine-vci-admission"  # before and behind ours, by name


@dataclass(frozen=True, slots=True)
class Both:
    """The other webhook, beside ours."""

    cluster: Cluster
    other: ScriptedWebhook

    def create(self, labels: dict[str, str]) -> Object:
        """Create a Pod."""
        pod = bare_pod()
        pod["metadata"] |= {"labels": labels, "annotations": {"example.com/own": "mine"}}
        return self.cluster.admin.create(pod, NAMESPACE)

    def node_of(self, pod: Object) -> str:
        """Wait until a Pod is bound."""
        name = pod["metadata"]["name"]

        def seek() -> str:
            found = self.cluster.admin.get("Pod", name, NAMESPACE)
            return str(found["spec"].get("nodeName", ""))

        return eventually(seek, f"a node for Pod {name}")


@pytest.fixture(scope="module")
def ours(session_cluster: Cluster) -> Iterator[Embedded]:
    """Our webhook with the profile for self-built clusters, and a namespace that it selects."""
    create_namespace(session_cluster.admin, NAMESPACE)
    with embedded_webhook(session_cluster, NAMESPACE) as embedded:
        use(embedded, "vci-profile-self-built.yaml")
        yield embedded
    session_cluster.admin.delete("Namespace", NAMESPACE)


def use(ours: Embedded, example: str, mode: str = "active") -> None:
    """Have an example's profile act, its rules in a mode."""
    (profile,) = read_manifests(EXAMPLES / example)
    data = profile["data"]
    items = [{**rule, "mode": mode} for rule in yaml.safe_load(data["selectors"])]
    assert ours.use({**data, "selectors": json.dumps(items)}, {NAMESPACE: {"vci": "true"}}) == []


@contextmanager
def admission(
    cluster: Cluster, name: str, reply: Reply = APPEND, **selects: Object
) -> Iterator[ScriptedWebhook]:
    """Have another webhook in force, for Pods with its label unless told."""
    authority = cluster.plane.authority
    settings = {"objectSelector": {"matchLabels": LABEL}, **selects, "failurePolicy": "Fail"}
    with ScriptedWebhook(authority.issue_serving(name)).running() as other:
        other.script = [reply]
        ca = authority.certificate.read_bytes()
        configuration = webhook_configuration(name, other.url, ca, [NAMESPACE], **settings)

        def acts() -> bool:
            probe = bare_pod(PROBE)
            probe["metadata"]["labels"] = LABEL
            cluster.admin.create(probe, NAMESPACE, "?dryRun=All")
            return other.probed.is_set()

        with configured(cluster.admin, configuration, acts):
            yield other


@pytest.fixture(params=[FIRST, LAST])
def both(cluster: Cluster, ours: Embedded, request: pytest.FixtureRequest) -> Iterator[Both]:
    """Both webhooks, in one order and in the other."""
    assert FIRST < ours.name < LAST
    with admission(cluster, request.param) as other:
        yield Both(cluster, other)


def judge(both: Both, pod: Object) -> None:
    """See that a Pod has what it needs once in effect, is traced, and is on the virtual node."""
    metadata, spec = pod["metadata"], pod["spec"]
    assert metadata["labels"] == LABEL
    assert metadata["annotations"]["vke.volcengine.com/burst-to-vci"] == "enforce"
    assert "vci-webhook/applied" in metadata["annotations"]
    assert spec["nodeSelector"] == {"type": "virtual-kubelet"}
    assert TOLERATION in spec["tolerations"]
    assert both.node_of(pod) == VIRTUAL_NODE


def test_a_labelled_pod_of_both_is_accepted_and_bound(both: Both) -> None:
    """Whoever is asked first, what both put on a Pod does no harm."""
    judge(both, both.create(LABEL))
    assert len(both.other.requests) == 1


def test_the_label_that_we_set_reaches_who_is_asked_later(cluster: Cluster, ours: Embedded) -> None:
    """A Pod without the label gets it from us, and so the webhook behind ours acts on it too."""
    assert ours.name < LAST
    with admission(cluster, LAST) as other:
        both = Both(cluster, other)
        judge(both, both.create({}))
        (request,) = other.requests
    assert request.pod["metadata"]["labels"] == LABEL
    assert request.pod["spec"]["tolerations"].count(TOLERATION) == 1


def test_who_is_asked_before_us_does_not_see_that_label(cluster: Cluster, ours: Embedded) -> None:
    """A Pod without the label is none of its business, and is placed by us alone."""
    assert ours.name > FIRST
    with admission(cluster, FIRST) as other:
        both = Both(cluster, other)
        judge(both, both.create({}))
        assert other.requests == []


def is_traced(both: Both) -> bool:
    """Create a Pod, which must come to the virtual node, and tell whether we had a part in that."""
    pod = both.create({})
    assert both.node_of(pod) == VIRTUAL_NODE
    return "vci-webhook/applied" in pod["metadata"]["annotations"]


def test_at_no_step_from_the_managed_feature_is_a_pod_placed_by_nobody(
    cluster: Cluster, ours: Embedded
) -> None:
    """First it alone, then both, then we alone, and all the way back: each Pod is on VCI."""
    managed = ("managed", MANAGED)
    use(ours, "vci-profile.yaml", mode="shadow")
    with admission(cluster, *managed, objectSelector={}) as other:
        both = Both(cluster, other)
        assert not is_traced(both)
        use(ours, "vci-profile.yaml")
        assert is_traced(both)
    assert is_traced(both)
    with admission(cluster, *managed, objectSelector={}) as other:
        both = Both(cluster, other)
        assert is_traced(both)
        use(ours, "vci-profile.yaml", mode="shadow")
        assert not is_traced(both)
    use(ours, "vci-profile-self-built.yaml")
