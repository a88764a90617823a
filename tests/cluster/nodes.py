"""The nodes of the control plane: an ordinary one, and a virtual one as VCI makes it.

A third one, whose Pods are real processes, comes with ``running_node``; only Pods that ask for it
are bound to it.
"""

from tests.cluster.client import Client, Object

ORDINARY_NODE = "node1-cn-beijing-a"
VIRTUAL_NODE = "vci-node1-cn-beijing-a"
VIRTUAL_NODE_LABELS = {"type": "virtual-kubelet"}
VIRTUAL_NODE_TAINT = {
    "key": "vci.vke.volcengine.com/node-type",
    "value": "vci",
    "effect": "NoSchedule",
}

RUNNING_NODE = "node2-cn-beijing-a"
RUNNING = "vci-webhook.test/runs-processes"  # its label, and the key of its taint


def create_nodes(admin: Client) -> None:
    """Create the nodes, which nobody but us says are ready."""
    create_node(admin, ORDINARY_NODE, {"type": "ecs"}, [], {"cpu": "64", "memory": "256Gi"})
    size = {"cpu": "10k", "memory": "64Ti"}
    create_node(admin, VIRTUAL_NODE, VIRTUAL_NODE_LABELS, [VIRTUAL_NODE_TAINT], size)


def create_node(
    admin: Client, name: str, labels: dict[str, str], taints: list[Object], size: Object
) -> None:
    """Create a node that is ready, with the labels that every node has and these."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **labels}
    metadata = {"name": name, "labels": labels}
    admin.create({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
    capacity = {"pods": "5000", "ephemeral-storage": "1Ti", **size}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
    status = {"capacity": capacity, "allocatable": capacity, "conditions": [ready]}
    admin.patch("Node", name, "", {"status": status}, "/status")
    # admission gave the new node the taint "not-ready", which nobody here would take away
    admin.patch("Node", name, "", {"spec": {"taints": taints}})
