"""Nobody notices that the webhook is replaced: creates go on through roll-outs and scaling.

The Deployment's replicas are real processes, and Service, EndpointSlices, readiness and the
ServiceAccount's rights are the real ones. ``failurePolicy`` is ``Fail``: each review that is lost
is a Pod that is not created.
"""

from collections.abc import Iterator

import pytest

from tests.cluster.control_plane import Cluster
from tests.cluster.creating import Creates, creating, tell
from tests.cluster.deployed import Deployed, deployed, is_right
from tests.cluster.following import SOAK
from tests.cluster.node.agent import Agent
from tests.cluster.process import eventually

RATE = 100.0
ROLLOUTS = 10 if SOAK else 2  # at least
ROLLOUT_CREATES = 50_000 if SOAK else 0
SCALES = [5, 1, 2] if SOAK else [3, 1, 2]
SCALE_CREATES = 35_000 if SOAK else 0
LEAST_SHARE = 0.1  # of four; an even one is a quarter


@pytest.fixture
def webhook(cluster: Cluster, node: Agent, namespace: str) -> Iterator[Deployed]:
    """Two replicas, in force."""
    with deployed(cluster, node, namespace) as here:
        yield here


def check_nothing_was_lost(what: str, webhook: Deployed, creates: Creates) -> None:
    """Every create succeeded, and every replica that was told to stop did so well."""
    tell(what, creates)
    assert not creates.failures
    ends = {each.what for each in webhook.node.happened("vci-webhook ended", creates.began)}
    assert ends == {"vci-webhook ended: 0"}


def test_rollouts_lose_nothing(webhook: Deployed, namespace: str) -> None:
    """While the Deployment is restarted again and again, every create succeeds and is patched."""
    with creating(webhook.cluster.admin, namespace, RATE, is_right) as creates:
        rollouts = 0
        while rollouts < ROLLOUTS or creates.total < ROLLOUT_CREATES:
            webhook.restart()
            rollouts += 1
        webhook.await_end_of_old_pods()
    check_nothing_was_lost(f"{rollouts} roll-outs", webhook, creates)


def test_scaling_loses_nothing(webhook: Deployed, namespace: str) -> None:
    """While replicas come and go, every create succeeds and is patched."""
    with creating(webhook.cluster.admin, namespace, RATE, is_right) as creates:
        rounds = 0
        while not rounds or creates.total < SCALE_CREATES:
            for replicas in SCALES:
                webhook.scale(replicas)
            rounds += 1
        webhook.await_end_of_old_pods()
    check_nothing_was_lost(f"scaled to {SCALES}, {rounds} times", webhook, creates)


def test_new_replicas_get_their_share(webhook: Deployed, namespace: str) -> None:
    """Soon after there are more replicas, each has part of the work."""
    with creating(webhook.cluster.admin, namespace, RATE, is_right) as creates:
        webhook.scale(4)
        before, total = {pod.name: webhook.reviews(pod) for pod in webhook.pods()}, creates.total
        eventually(lambda: creates.total > total + 400, "creates", 30)
        shares = [webhook.reviews(pod) - before[pod.name] for pod in webhook.pods()]
    assert not creates.failures
    assert min(shares) > LEAST_SHARE * sum(shares), shares
