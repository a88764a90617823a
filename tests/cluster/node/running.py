"""Adds the node that runs Pods as processes to a control plane."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.cluster.client import Client, Object
from tests.cluster.control_plane import ControlPlane
from tests.cluster.node.agent import Agent
from tests.cluster.node.image import Image, python_image
from tests.cluster.node.network import Network
from tests.cluster.node.settings import Settings
from tests.cluster.nodes import RUNNING, RUNNING_NODE, create_node

SIZE = {"cpu": "64", "memory": "256Gi"}
TAINT = {"key": RUNNING, "value": "true", "effect": "NoSchedule"}
PLACED_HERE: Object = {
    "nodeSelector": {RUNNING: "true"},
    "tolerations": [{"key": RUNNING, "operator": "Exists"}],
}


@contextmanager
def running_node(
    plane: ControlPlane, admin: Client, ours: Image | None = None, **settings: Any
) -> Iterator[Agent]:
    """Have the node until the block ends. Pods get there by ``PLACED_HERE`` in their spec.

    ``ours`` is the image ``vci-webhook``, unless told the packages of this checkout.
    """
    folder = Path(mkdtemp(prefix="node-", dir=plane.folder))
    image = python_image()
    with Network(folder).up() as network:
        create_node(admin, RUNNING_NODE, {RUNNING: "true"}, [TAINT], SIZE)
        made = Settings(
            name=RUNNING_NODE,
            folder=folder,
            network=network,
            api_server_port=plane.port,
            images={"python": image, "vci-webhook": ours or image},
            **settings,
        )
        try:
            with Agent(admin, made).running() as agent:
                yield agent
        finally:
            admin.delete("Node", RUNNING_NODE)
