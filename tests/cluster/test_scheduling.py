"""Where the real scheduler puts Pods of each placement, while there is room and when there is none.

Each test has a pool of nodes of its own, some ordinary and some virtual, told by a label that its
Pods select.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cluster.client import Object
from tests.cluster.control_plane import Cluster
from tests.cluster.embedded import Embedded, embedded_webhook, rules
from tests.cluster.nodes import VIRTUAL_NODE_LABELS, VIRTUAL_NODE_TAINT, create_node
from tests.cluster.process import eventually
from tests.cluster.workloads import bare_pod, create_namespace
from tests.model.vocabulary import REQUIRED

NAMESPACE = "scheduling"
PLACEMENTS = ("enforce", "prefer", "overflow", "allow", "off")
SIZE = {"cpu": "1", "memory": "1Gi"}
PENDING = "Pending"
_numbers = itertools.count(1)


@dataclass(slots=True)
class Pool:
    """Nodes that only one test uses, and its Pods."""

    cluster: Cluster
    label: dict[str, str] = field(default_factory=lambda: {"pool": f"pool-{next(_numbers)}"})
    nodes: list[str] = field(default_factory=list)
    pods: list[str] = field(default_factory=list)

    def add_node(self, name: str, *, virtual: bool = False, **labels: str) -> None:
        """Add a small node, ordinary or virtual, and wait until the scheduler uses it."""
        node, taints = self._node(name), [VIRTUAL_NODE_TAINT] if virtual else []
        labels = {**self.label, **(VIRTUAL_NODE_LABELS if virtual else {"type": "ecs"}), **labels}
        self.nodes.append(node)
        create_node(self.cluster.admin, node, labels, taints, SIZE)
        only_there = {"kubernetes.io/hostname": node}
        pod = self.add_pod("0", nodeSelector=only_there, tolerations=taints)
        eventually(lambda: self.node_of(pod) == name, f"node {node} in use")

    def _node(self, name: str) -> str:
        return f"{self.label['pool']}-{name}"

    def add_pod(self, cpu: str = "1m", rule: str = "", **spec: Any) -> str:
        """Create a Pod that stays until the test is over, under the rule of a name."""
        pod = bare_pod(**{"restartPolicy": "Always", "nodeSelector": self.label, **spec})
        pod["metadata"]["labels"] = {"rule": rule}
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
        name: str = self.cluster.admin.create(pod, NAMESPACE)["metadata"]["name"]
        self.pods.append(name)
        return name

    def fill(self, node: str, cpu: str = "1") -> str:
        """Have a Pod take a node's processors; the scheduler learns of it before of later Pods."""
        return self.add_pod(cpu, nodeName=self._node(node))

    def node_of(self, pod: str) -> str:
        """Wait for the scheduler's decision on a Pod: a node of the pool, or Pending."""

        def seek() -> str:
            found = self.cluster.admin.get("Pod", pod, NAMESPACE)
            if node := found["spec"].get("nodeName"):
                return str(node).removeprefix(f"{self.label['pool']}-")
            conditions = found.get("status", {}).get("conditions", ())
            unschedulable = any(c.get("reason") == "Unschedulable" for c in conditions)
            return PENDING if unschedulable else ""

        return eventually(seek, f"the scheduler's decision on Pod {pod}", seconds=20)

    def land(self, **pod: Any) -> str:
        """Create a Pod and return where it is put."""
        return self.node_of(self.add_pod(**pod))

    def remove(self, pod: str) -> None:
        """Delete a Pod, and wait until it is gone."""
        admin = self.cluster.admin
        admin.delete("Pod", pod, NAMESPACE, {"gracePeriodSeconds": 0})
        eventually(lambda: not admin.find("Pod", pod, NAMESPACE), f"the end of Pod {pod}")
        self.pods.remove(pod)

    def clear(self) -> None:
        for pod in self.pods:
            self.cluster.admin.delete("Pod", pod, NAMESPACE, {"gracePeriodSeconds": 0})
        for node in self.nodes:
            self.cluster.admin.delete("Node", node)


@pytest.fixture(scope="module")
def webhook(session_cluster: Cluster) -> Iterator[Embedded]:
    """Have a rule for each placement in force, for the Pods with the label of its name."""
    create_namespace(session_cluster.admin, NAMESPACE)
    with embedded_webhook(session_cluster, NAMESPACE) as embedded:
        items = [rule(placement, placement=placement) for placement in PLACEMENTS]
        assert embedded.use(rules(*items, NARROW), {NAMESPACE: {}}) == []
        yield embedded
    session_cluster.admin.delete("Namespace", NAMESPACE)


def rule(name: str, **fields: Any) -> Object:
    return {"name": name, "objectSelector": {"matchLabels": {"rule": name}}, **fields}


@pytest.fixture
def pool(cluster: Cluster, webhook: Embedded) -> Iterator[Pool]:
    """Lend an empty pool."""
    assert webhook.name
    found = Pool(cluster)
    yield found
    found.clear()


@pytest.fixture
def pair(pool: Pool) -> Pool:
    """Lend a pool of one ordinary and one virtual node."""
    pool.add_node("ordinary")
    pool.add_node("virtual", virtual=True)
    return pool


def landed(pool: Pool, *placements: str) -> dict[str, str]:
    """Return where a small Pod of each placement is put; the empty one is under no rule."""
    pods = {placement: pool.add_pod(rule=placement) for placement in placements}
    return {placement: pool.node_of(pod) for placement, pod in pods.items()}


def test_with_room_everywhere(pair: Pool) -> None:
    """With room on both nodes prefer goes to the virtual one and overflow to the ordinary one."""
    nodes = landed(pair, *PLACEMENTS, "")
    assert nodes.pop("allow") in ("ordinary", "virtual")
    assert nodes == {
        "enforce": "virtual",
        "prefer": "virtual",
        "overflow": "ordinary",
        "off": "ordinary",
        "": "ordinary",
    }


def test_a_full_ordinary_node(pair: Pool) -> None:
    """Where the ordinary node is full, all go to the virtual one but those that may not."""
    pair.fill("ordinary")
    assert landed(pair, *PLACEMENTS, "") == {
        "enforce": "virtual",
        "prefer": "virtual",
        "overflow": "virtual",
        "allow": "virtual",
        "off": PENDING,
        "": PENDING,
    }


def test_a_full_virtual_node(pair: Pool) -> None:
    """Where the virtual node is full, all go to the ordinary one but those that must not."""
    pair.fill("virtual")
    assert landed(pair, *PLACEMENTS, "") == {
        "enforce": PENDING,
        "prefer": "ordinary",
        "overflow": "ordinary",
        "allow": "ordinary",
        "off": "ordinary",
        "": "ordinary",
    }


@pytest.mark.parametrize(
    ("placement", "first", "second"),
    [("overflow", "ordinary", "virtual"), ("prefer", "virtual", "ordinary")],
)
def test_the_preferred_node_is_filled_first(
    pair: Pool, placement: str, first: str, second: str
) -> None:
    """Nearly full, the preferred node still gets the next Pod; only what does not fit goes on.

    The scheduler also likes nodes with much room, but a preference of the Pod's counts more.
    """
    pair.fill(first, cpu="900m")
    assert [pair.land(cpu="40m", rule=placement) for _ in range(3)] == [first, first, second]


def test_off_waits_for_the_ordinary_node(pair: Pool) -> None:
    """A Pod with off stays Pending while the ordinary node is full, and then goes there."""
    filling = pair.fill("ordinary")
    pod = pair.add_pod(rule="off")
    assert pair.node_of(pod) == PENDING
    pair.remove(filling)
    eventually(lambda: pair.node_of(pod) == "ordinary", "the Pod on the ordinary node")


def within(key: str, *values: str) -> Object:
    return {"key": key, "operator": "In", "values": [*values]}


def terms(*expressions: list[Object]) -> Object:
    """Return a node affinity of required terms, each of some expressions."""
    return {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": each} for each in expressions]}}


NARROW = rule(
    "narrow",
    placement="allow",
    effect={"nodeAffinity": terms([within("disk", "ssd")], [within("disk", "nvme")])},
)


@pytest.mark.parametrize(
    ("own", "allowed"),
    [
        (terms([within("zone", "a")], [within("zone", "b")]), ["a-ssd", "b-nvme"]),
        (terms([within("zone", "a", "b", "c"), within("disk", "hdd", "ssd")]), ["a-ssd", "c-ssd"]),
        (terms([]), []),
        ({}, ["a-ssd", "b-nvme", "c-ssd"]),
    ],
    ids=["either-of-two", "both-of-two", "no-node", "none"],
)
def test_own_affinity_and_the_rules(pool: Pool, own: Object, allowed: list[str]) -> None:
    """A Pod goes where its own required affinity and the rule's both allow it, nowhere else.

    Each Pod takes a whole node, so that one after another takes all that are allowed.
    """
    for name in ("a-hdd", "a-ssd", "b-hdd", "b-nvme", "c-ssd"):
        zone, disk = name.split("-")
        pool.add_node(name, virtual=name == "b-nvme", zone=zone, disk=disk)
    taken = [
        pool.land(cpu="1", rule="narrow", affinity={"nodeAffinity": own})
        for _ in range(len(allowed) + 1)
    ]
    assert sorted(taken[:-1]) == allowed
    assert taken[-1] == PENDING
