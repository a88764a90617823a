"""The same where the API server knows a Service by its address alone, as with kube-proxy.

Then it opens connections to "the Service" and keeps them, and for two seconds after a replica began
to end new ones still get there. A replica must answer until then, and have what is open closed at
a moment when nothing is in flight.
"""

from collections.abc import Iterator

import pytest

from tests.cluster import binaries
from tests.cluster.control_plane import Cluster, control_plane
from tests.cluster.creating import creating, tell
from tests.cluster.deployed import deployed, is_right
from tests.cluster.following import SOAK
from tests.cluster.needs import need_namespaces
from tests.cluster.node.agent import Agent
from tests.cluster.node.running import running_node
from tests.cluster.test_rollout import RATE, SCALES
from tests.cluster.workloads import create_namespace

NAMESPACE = "proxied"
ROLLOUTS = 10 if SOAK else 1
CREATES = 20_000 if SOAK else 0
ABRUPT = {"name": "vci-webhook", "args": ["--drain-seconds=0"]}


@pytest.fixture(scope="module")
def proxied(session_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane whose API server looks for no endpoints."""
    assert session_cluster  # which skips or fails where there are no programs
    need_namespaces()
    folder = tmp_path_factory.mktemp("proxied") / "run"
    with control_plane(folder, binaries.locate(), routes_to_endpoints=False) as cluster:
        create_namespace(cluster.admin, NAMESPACE)
        yield cluster


@pytest.fixture(scope="module")
def proxied_node(proxied: Cluster) -> Iterator[Agent]:
    """Its node."""
    with running_node(proxied.plane, proxied.admin) as node:
        yield node
        assert not node.failures


def test_rollouts_and_scaling_lose_nothing(proxied: Cluster, proxied_node: Agent) -> None:
    """While replicas are replaced, come and go, every create succeeds and is patched."""
    with (
        deployed(proxied, proxied_node, NAMESPACE) as webhook,
        creating(proxied.admin, NAMESPACE, RATE, is_right) as creates,
    ):
        rollouts = 0
        while rollouts < ROLLOUTS or creates.total < CREATES:
            webhook.restart()
            for replicas in SCALES:
                webhook.scale(replicas)
            rollouts += 1
        webhook.await_end_of_old_pods()
    tell(f"by the Service's address: {rollouts} roll-outs, scaled to {SCALES} each time", creates)
    assert not creates.failures


# luck decides what is lost: something is only after more roll-outs than a check has time for
@pytest.mark.skipif(not SOAK, reason="takes many roll-outs to be certain: make soak")
def test_without_draining_creates_are_lost(proxied: Cluster, proxied_node: Agent) -> None:
    """Replicas that stop at once lose some: the test above sees what draining is for."""
    with (
        deployed(proxied, proxied_node, NAMESPACE, containers=[ABRUPT]) as webhook,
        creating(proxied.admin, NAMESPACE, RATE, is_right) as creates,
    ):
        for _ in range(ROLLOUTS):
            webhook.restart()
    tell(f"without draining: {ROLLOUTS} roll-outs", creates)
    assert creates.failures
