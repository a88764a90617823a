"""What it costs when a replica dies or hangs; that busy processors and wrong clocks cost nothing.

``failurePolicy`` is ``Fail``, so that what is lost shows; ``docs/operations.md`` has the figures.
"""

import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cluster.control_plane import Cluster
from tests.cluster.creating import Creates, creating, tell
from tests.cluster.deployed import NAME, Deployed, deployed, is_right
from tests.cluster.following import SOAK
from tests.cluster.node.agent import Agent
from tests.cluster.node.pod import RunningPod
from tests.cluster.process import eventually, running
from tests.cluster.test_argo_outage import refusal
from tests.cluster.test_clock import LIBRARIES, clock
from tests.cluster.test_rollout import RATE
from tests.cluster.workloads import bare_pod

__all__ = ["clock"]  # a fixture

KILLS = 10 if SOAK else 2
SECONDS = 120 if SOAK else 5
TIMEOUT_SECONDS = 5  # of the webhook configuration
NOTICED_SECONDS = 8  # two probes in a row that fail, each after a second, and the news of it
BUSY = """
import time
while True:
    until = time.monotonic() + 0.02
    while time.monotonic() < until:
        pass
    time.sleep(0.08)
"""


@pytest.fixture
def webhook(cluster: Cluster, node: Agent, namespace: str) -> Iterator[Deployed]:
    """Two replicas, in force."""
    with deployed(cluster, node, namespace) as here:
        yield here


def process_of(pod: RunningPod) -> int:
    """Give the process id of a replica."""
    process = pod.containers[0].process
    assert process is not None
    return process.pid


def go_on(creates: Creates, seconds: float) -> None:
    """Let creates go on for so many seconds."""
    until, before = time.monotonic() + seconds, creates.total
    eventually(lambda: time.monotonic() > until and creates.total > before, "creates", seconds + 60)


def explain(what: str, creates: Creates, at: float) -> None:
    """Print what failed after a moment, by its text, and until when."""
    lost = creates.since(at - TIMEOUT_SECONDS)
    texts = Counter(failure.text.rpartition(": ")[2] for failure in lost)
    last = max((failure.at - at for failure in lost), default=0.0)
    print(f"{what}: {len(lost)} failed, the last began after {last:.2f} s: {dict(texts)}")


def test_a_replica_that_is_killed(webhook: Deployed, namespace: str) -> None:
    """SIGKILL costs what the replica had in hand and what reaches it before its endpoint leaves.

    No server can help it: the API server does not ask another one when a connection breaks.
    """
    with creating(webhook.cluster.admin, namespace, RATE, is_right) as creates:
        for number in range(KILLS):
            go_on(creates, 2)
            victim = webhook.pods()[number % 2]  # by turns: each restart waits twice as long
            at = time.time()
            os.kill(process_of(victim), signal.SIGKILL)
            eventually(lambda: victim.address not in webhook.endpoints(), "its end", 30)  # noqa: B023 - now
            left = time.time() - at
            eventually(lambda: victim.address in webhook.endpoints(), "its return", 60)  # noqa: B023 - now
            explain(
                f"SIGKILL, endpoint gone {left:.2f} s, back {time.time() - at:.1f} s", creates, at
            )
            assert all(f.at - at < left + 0.5 for f in creates.since(at))
    tell(f"{KILLS} x SIGKILL", creates)
    assert len(creates.failures) <= 40 * KILLS


def stop(webhook: Deployed) -> tuple[RunningPod, float]:
    """Let a replica hang, and wait until nothing is sent to it any more; tell when it began."""
    victim, at = webhook.pods()[0], time.time()
    os.kill(process_of(victim), signal.SIGSTOP)
    eventually(lambda: victim.address not in webhook.endpoints(), "its end", 30)
    return victim, at


def test_a_replica_that_hangs(webhook: Deployed, namespace: str) -> None:
    """SIGSTOP costs the creates that reach the replica until its readiness probe has failed twice.

    They wait as long as the webhook configuration says. Then all go to the other one, and none
    is lost when it goes on.
    """
    with creating(webhook.cluster.admin, namespace, RATE, is_right) as creates:
        go_on(creates, 2)
        victim, at = stop(webhook)
        left = time.time() - at
        go_on(creates, TIMEOUT_SECONDS + 1)
        explain(f"SIGSTOP, endpoint gone after {left:.2f} s", creates, at)
        assert left < NOTICED_SECONDS
        assert all(f.at - at < left + 0.5 for f in creates.since(at))
        lost = len(creates.failures)
        os.kill(process_of(victim), signal.SIGCONT)
        eventually(lambda: victim.address in webhook.endpoints(), "its return", 60)
        go_on(creates, 3)
        assert len(creates.failures) == lost
    tell("SIGSTOP", creates)


# the probe has real periods and thresholds, whose minute is too long for every check
@pytest.mark.skipif(not SOAK, reason="liveness takes a minute to give up a replica: make soak")
def test_a_replica_that_hangs_for_good(webhook: Deployed, namespace: str) -> None:
    """Its liveness probe has it replaced, and nothing more is lost meanwhile or after."""
    with creating(webhook.cluster.admin, namespace, RATE, is_right) as creates:
        go_on(creates, 2)
        victim, at = stop(webhook)
        gone = time.time()
        eventually(lambda: victim.address in webhook.endpoints(), "its return", 180)
        explain(
            f"hangs, endpoint gone {gone - at:.1f} s, back {time.time() - at:.1f} s", creates, at
        )
        go_on(creates, 3)
        assert all(f.at < gone + 0.5 for f in creates.failures)
    tell("hangs for good", creates)


def test_without_any_replica(cluster: Cluster, webhook: Deployed, namespace: str) -> None:
    """With Fail nothing is created where it is in force, elsewhere all is; it comes back alone.

    With Ignore Pods are created without it, which the API server counts; so they are when its
    configuration is deleted, which always works.
    """
    admin = cluster.admin
    webhook.scale(0)
    eventually(lambda: "no endpoints available" in refusal(cluster, namespace), "a refusal", 20)
    assert "spec" in admin.create(bare_pod(), "default", "?dryRun=All")
    webhook.set_policy("Ignore")
    eventually(lambda: not refusal(cluster, namespace), "a Pod without the webhook", 20)
    assert not is_right(admin.create(bare_pod(), namespace, "?dryRun=All"))
    counted = rf'webhook_fail_open_count\{{name="{NAME}.vci-webhook.test",type="admit"\}} [1-9]'
    assert re.search(counted, admin.send("GET", "/metrics").decode())
    webhook.set_policy("Fail")
    eventually(lambda: refusal(cluster, namespace), "a refusal", 20)
    webhook.scale(2)
    eventually(lambda: not refusal(cluster, namespace), "the webhook's return", 20)
    assert is_right(admin.create(bare_pod(), namespace, "?dryRun=All"))
    webhook.scale(0)
    eventually(lambda: refusal(cluster, namespace), "a refusal", 20)
    admin.delete("MutatingWebhookConfiguration", NAME)
    eventually(lambda: not refusal(cluster, namespace), "a Pod without the configuration", 20)


def test_less_of_the_processors(webhook: Deployed, namespace: str, tmp_path: Path) -> None:
    """With a fifth of every processor taken away, no create is lost."""
    with (
        ExitStack() as stack,
        creating(webhook.cluster.admin, namespace, RATE, is_right) as creates,
    ):
        for _ in range(os.cpu_count() or 1):
            command = [sys.executable, "-c", BUSY]
            stack.enter_context(running(command, tmp_path / "busy.log"))
        go_on(creates, SECONDS)
    tell("a fifth of the processors away", creates)
    assert not creates.failures


@contextmanager
def with_clock(cluster: Cluster, node: Agent, namespace: str, clock: Path) -> Iterator[Deployed]:
    """Have replicas on a node whose clock goes as a file says."""
    variables = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": f"/clock/{clock.name}",
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as on a node: only the wall clock is set
    }
    container = {
        "name": "vci-webhook",
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "volumeMounts": [{"name": "clock", "mountPath": "/clock"}],
    }
    volume = {"name": "clock", "hostPath": {"path": str(clock.parent)}}
    with deployed(cluster, node, namespace, containers=[container], volumes=[volume]) as here:
        yield here


def test_a_clock_that_is_set(cluster: Cluster, node: Agent, namespace: str, clock: Path) -> None:
    """Set back and ahead by an hour under load, on all replicas at once, it costs no create."""
    with (
        with_clock(cluster, node, namespace, clock) as webhook,
        creating(cluster.admin, namespace, RATE, is_right) as creates,
    ):
        for step in ("-1h", "+0", "+1h", "+0"):
            clock.write_text(step, "ascii")
            go_on(creates, SECONDS / 4)
        assert webhook.endpoints() == {pod.address for pod in webhook.pods()}
    tell("clock back and ahead", creates)
    assert not creates.failures
