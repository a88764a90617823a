"""Certificates change, and people damage them, while Pods are created all the time.

The API server calls the webhook through its Service with ``failurePolicy: Fail``, so that every
call that fails is a Pod that is not created. ``VCI_WEBHOOK_SOAK=1``: 10 000 Pods a scenario.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.certifying import CA_SECRET, MORTAL, MUTATING, SERVING_SECRET
from tests.cluster.control_plane import Cluster
from tests.cluster.creating import Creates
from tests.cluster.following import SOAK
from tests.cluster.node.agent import Agent
from tests.cluster.process import eventually
from tests.cluster.rotating import (
    CAS,
    CREATES,
    LASTING,
    LEAVES,
    SLOW,
    YOUNGER,
    Rotating,
    rotating,
)
from tests.cluster.test_certs import spoil
from tests.cluster.test_clock import clock, faked
from tests.cluster.workloads import create_namespace

__all__ = ["clock"]  # a fixture
LEAF_COUNT = 2
LEAST_STEPS = 4  # of a rotation: a CA, a bundle, a note, promotion, a leaf
DAMAGES = 5 if SOAK else 1
HEALED_SECONDS = 30
WITHOUT_BUNDLE_SECONDS = 5  # the API server learns of a bundle by watch


@pytest.fixture(scope="module")
def webhook(session_cluster: Cluster, session_node: Agent) -> Iterator[Rotating]:
    """One webhook for all these tests, which begins with a certificate of an operator's own."""
    create_namespace(session_cluster.admin, "rotation")
    with rotating(session_cluster, session_node, "rotation") as here:
        yield here
    session_cluster.admin.delete("Namespace", "rotation")


def test_taking_over_from_an_operators_own_certificate(webhook: Rotating) -> None:
    """The mode is changed from provided to self: not one create fails."""
    before = webhook.serials()
    with webhook.creating("taking over") as creates, webhook.programs(*LEAVES):
        await_other_than(webhook, before)
        wait_for_creates(creates, 0)
    assert not creates.failures


def test_leaves_are_rotated(webhook: Rotating) -> None:
    """The serving certificate is renewed again and again: not one create fails."""
    with webhook.programs(*LEAVES) as (program,), webhook.creating("leaf rotation") as creates:
        wanted = program.metric('steps_total{step="sign"}') + LEAF_COUNT
        eventually(lambda: program.metric('steps_total{step="sign"}') >= wanted, "leaves", 120)
        wait_for_creates(creates, CREATES)
    assert not creates.failures


def test_a_ca_is_rotated_whole(webhook: Rotating) -> None:
    """From the first sight of a new CA to the last of the one before: not one create fails."""
    with webhook.programs(*CAS), webhook.creating("CA rotation") as creates:
        await_rotation(webhook, creates)
    assert not creates.failures


def test_a_ca_is_rotated_by_programs_that_die_after_each_step(webhook: Rotating) -> None:
    """Killed after every single write, another one goes on: not one create fails."""
    lives = [0]
    webhook.age_ca()
    with webhook.creating("CA rotation, killed after each step") as creates:
        with one_life_after_the_other(webhook, lives):
            await_next_ca(webhook, creates)
        print(f"  {lives[0]} lives")
    assert not creates.failures
    assert lives[0] > LEAST_STEPS


def test_two_programs_at_once(webhook: Rotating) -> None:
    """Two that see and want the same, all the time: not one create fails."""
    with webhook.programs(*CAS, count=2), webhook.creating("two programs") as creates:
        await_next_ca(webhook, creates)
    assert not creates.failures


@pytest.mark.parametrize("step", ["-1h", "+1h"])
def test_a_clock_that_is_wrong(webhook: Rotating, clock: Path, step: str) -> None:
    """An hour behind or ahead, a CA is rotated by the API server's clock: no create fails."""
    clock.write_text(step, "ascii")
    with (
        webhook.certs.running(*CAS, "--interval", "1s", environment=faked(clock)),
        webhook.creating(f"clock {step}") as creates,
    ):
        await_next_ca(webhook, creates, 0)
    assert not creates.failures


@pytest.mark.parametrize("damage", ["deleted", "rubbish"])
@pytest.mark.parametrize("name", [SERVING_SECRET, CA_SECRET])
def test_a_secret_is_damaged(webhook: Rotating, name: str, damage: str) -> None:
    """A new certificate is in the Secret in no time, and meanwhile servers keep the old one."""
    with webhook.programs(*LASTING) as (program,), webhook.creating(f"{name} {damage}") as creates:
        eventually(lambda: "all is well" in program.messages(), "the first pass", 30)
        for _ in range(DAMAGES):
            before = webhook.serials()
            spoil(webhook.certs, name, damage)
            began = time.monotonic()
            await_other_than(webhook, before)
            print(f"  new certificate after {time.monotonic() - began:.1f} s")
            eventually(lambda: program.metric("good") == 1, "the end", HEALED_SECONDS)
            assert webhook.certs.is_sound()
        wait_for_creates(creates, 0)
    assert not creates.failures


def test_a_bundle_is_emptied(webhook: Rotating) -> None:
    """Until it is back, which takes less than a second or two, creates fail; then no more."""
    with webhook.programs(*LASTING) as (program,), webhook.creating("bundle emptied") as creates:
        eventually(lambda: "all is well" in program.messages(), "the first pass", 30)
        for _ in range(DAMAGES):
            failed = len(creates.failures)
            webhook.certs.set_bundle(MUTATING, b"")
            began, at = time.monotonic(), time.time()
            eventually(webhook.certs.is_sound, "the bundle", HEALED_SECONDS)
            seconds = time.monotonic() - began
            wait_for_creates(creates, 0)
            lost = creates.failures[failed:]
            last = max((each.at - at for each in lost), default=0)
            print(f"  restored after {seconds:.2f} s, {len(lost)} failed, the last at {last:.2f} s")
            assert last < WITHOUT_BUNDLE_SECONDS


def await_rotation(webhook: Rotating, creates: Creates, count: int = CREATES) -> None:
    """Wait until every CA of now is gone, again and again until there were enough creates."""
    rotations = 0
    while not rotations or creates.total < count:
        before = set(webhook.bundle()) - {webhook.first}
        await_end(lambda before=before: before & set(webhook.bundle()), 240)  # type: ignore[misc]  # bound now
        rotations += 1
    print(f"  {rotations} whole rotations")
    wait_for_creates(creates, 0)


def await_next_ca(webhook: Rotating, creates: Creates, count: int = CREATES) -> None:
    """Wait until another CA signed what is served; for long, until there were enough creates."""
    if SOAK:
        await_rotation(webhook, creates, count)
        return
    before = webhook.signer()
    await_end(lambda: webhook.signer() == before)
    wait_for_creates(creates, 0)


def await_other_than(webhook: Rotating, before: set[int]) -> None:
    eventually(lambda: webhook.serials() - before, "a new certificate", HEALED_SECONDS)


def await_end(lasts: Callable[[], object], seconds: float = 120) -> None:
    eventually(lambda: not lasts(), "the next CA", seconds)


@contextmanager
def one_life_after_the_other(webhook: Rotating, lives: list[int]) -> Iterator[None]:
    """Start a program that dies after its first write; and when it is dead another one."""
    stopping = threading.Event()

    def live() -> None:
        while not stopping.is_set():
            done = webhook.certs.ensure(*SLOW, *YOUNGER, command=MORTAL)
            if done.returncode not in (0, 3, -signal.SIGKILL):  # the API server did not answer
                print(f"  a life that failed: {done.stdout[-200:]} {done.stderr[-200:]}")
            lives[0] += done.returncode == -signal.SIGKILL

    with ThreadPoolExecutor(1) as threads:
        living = threads.submit(live)
        try:
            yield
        finally:
            stopping.set()
        living.result()


def wait_for_creates(creates: Creates, count: int) -> None:
    """Go on until there were so many, and for some seconds that show what came last."""
    eventually(lambda: creates.total >= count, f"{count} creates", 1200)
    until = creates.total + 200
    eventually(lambda: creates.total >= until, "some more creates", 60)
