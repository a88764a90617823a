"""Where the real scheduler binds Pods of examples/vci-profile-zones.yaml."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.client import Object, read_manifests
from tests.cluster.control_plane import EXAMPLES, Cluster
from tests.cluster.embedded import embedded_webhook
from tests.cluster.nodes import VIRTUAL_NODE_LABELS, VIRTUAL_NODE_TAINT, create_node
from tests.cluster.process import eventually
from tests.cluster.workloads import bare_pod, create_namespace
from tests.model.vocabulary import REQUIRED

NAMESPACE = "zones"
POOL = {"pool": "zones"}  # these nodes, and no other test's
NODES = {f"zones-vci-node1-cn-beijing-{zone}": f"cn-beijing-{zone}" for zone in "ab"}
NODE_A, NODE_B = NODES


@pytest.fixture(scope="module")
def zones(session_cluster: Cluster) -> Iterator[Cluster]:
    """A virtual node in each of two zones, and the example's profile in force."""
    admin = session_cluster.admin
    create_namespace(admin, NAMESPACE)
    size = {"cpu": "8", "memory": "64Gi"}
    for node, zone in NODES.items():
        labels = {**POOL, **VIRTUAL_NODE_LABELS, "topology.kubernetes.io/zone": zone}
        create_node(admin, node, labels, [VIRTUAL_NODE_TAINT], size)
    (profile,) = read_manifests(EXAMPLES / "vci-profile-zones.yaml")
    with embedded_webhook(session_cluster, NAMESPACE) as embedded:
        assert embedded.use(profile["data"], {NAMESPACE: {"vci": "true"}}) == []
        yield session_cluster
    for node in NODES:
        admin.delete("Node", node)
    admin.delete("Namespace", NAMESPACE)


def node_of(cluster: Cluster, labels: dict[str, str], **spec: Any) -> str:
    """Create a Pod and wait until it is bound."""
    pod = bare_pod(**{"nodeSelector": POOL, **spec})
    pod["metadata"]["labels"] = labels
    name = cluster.admin.create(pod, NAMESPACE)["metadata"]["name"]

    def seek() -> str:
        return str(cluster.admin.get("Pod", name, NAMESPACE)["spec"].get("nodeName", ""))

    return eventually(seek, f"a node for Pod {name}")


@pytest.mark.parametrize(("node", "zone"), NODES.items())
def test_a_pod_is_bound_in_the_zone_that_its_label_names(
    zones: Cluster, node: str, zone: str
) -> None:
    """The rule of the zone leads it to the virtual node there; all that the Pod has is a label."""
    assert node_of(zones, {"zone": zone}) == node


def test_a_pod_without_the_label_may_be_in_any_zone(zones: Cluster) -> None:
    """It is bound to one of the virtual nodes."""
    assert node_of(zones, {}) in NODES


def test_a_retry_goes_to_another_zone(zones: Cluster) -> None:
    """A Pod that excludes the virtual node of one zone, as Argo's retries do, has the other."""
    assert node_of(zones, {}, affinity=excluding(NODE_A)) == NODE_B


def excluding(node: str) -> Object:
    """Give the affinity that Argo adds to a retry."""
    elsewhere = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [node]}
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [elsewhere]}]}}}
