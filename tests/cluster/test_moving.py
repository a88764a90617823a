"""Two webhooks on one Pod, while somebody moves here: a real API server asks both, in each order.

The other one is a script that does what volcengine-vci-admission says of itself: Pods with its
label get a node selector and a toleration, whether they have them or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.cluster.client import Object, read_manifests
from tests.cluster.configuration import configured, webhook_configuration
from tests.cluster.control_plane import EXAMPLES, Cluster
from tests.cluster.embedded import Embedded, embedded_webhook
from tests.cluster.nodes import VIRTUAL_NODE, VIRTUAL_NODE_TAINT
from tests.cluster.process import eventually
from tests.cluster.scripted import PROBE, ScriptedWebhook, patch
from tests.cluster.workloads import bare_pod, create_namespace

NAMESPACE = "moving"
LABEL = {"vke.volcengine.com/burst-to-vci": "enforce"}
TOLERATION = {"operator": "Equal", **VIRTUAL_NODE_TAINT}
APPEND = patch(
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
        pod["metadata"]["labels"] = labels
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
    (profile,) = read_manifests(EXAMPLES / "vci-profile-self-built.yaml")
    with embedded_webhook(session_cluster, NAMESPACE) as embedded:
        assert embedded.use(profile["data"], {NAMESPACE: {"vci": "true"}}) == []
        yield embedded
    session_cluster.admin.delete("Namespace", NAMESPACE)


@contextmanager
def admission(cluster: Cluster, name: str) -> Iterator[ScriptedWebhook]:
    """Have the other webhook in force for Pods with its label."""
    authority = cluster.plane.authority
    labelled = {"objectSelector": {"matchLabels": LABEL}, "failurePolicy": "Fail"}
    with ScriptedWebhook(authority.issue_serving(name)).running() as other:
        other.script = [APPEND]
        ca = authority.certificate.read_bytes()
        configuration = webhook_configuration(name, other.url, ca, [NAMESPACE], **labelled)

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
