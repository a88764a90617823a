"""Records the rotation of a CA under load, and draws docs/rotation.svg: what each sees, and when.

``python -m tests.cluster.timeline [FILE…]``: as in real life, but that lives are of seconds.
"""

import json
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.cluster import session
from tests.cluster.certifying import CA_SECRET, NAME, Program
from tests.cluster.control_plane import Cluster
from tests.cluster.creating import Creates, creating
from tests.cluster.deployed import is_right
from tests.cluster.node.running import running_node
from tests.cluster.process import eventually
from tests.cluster.rotating import RATE, Rotating, rotating
from tests.cluster.timeline_picture import Sample, Step, Timeline, draw
from tests.cluster.workloads import create_namespace

PICTURE = Path(__file__).parents[2] / "docs" / "rotation.svg"
NAMESPACE = "rotation"
FLAGS = (
    *("--mutating", NAME, "--validating", "", "--clock-skew", "2s", "--publish-wait", "6s"),
    *("--serving-lifetime", "24s", "--ca-lifetime", "90s", "--renew-at", "0.5"),
)
KEPT_UNTIL = "vci-webhook/kept-until"
SAMPLE_SECONDS = 0.1
CONTEXT_SECONDS = 4  # before the first step and after the last
ROLES = ("issue a CA", "let the new CA sign", "drop an old CA")


def authority_of(content: bytes) -> str:
    """Give the name of the CA that signed a certificate, or of the CA itself."""
    names = x509.load_pem_x509_certificate(content).issuer.get_attributes_for_oid(
        NameOID.COMMON_NAME
    )
    return str(names[0].value)


def presented(address: str) -> str:
    """Give the CA of what a replica presents on a new connection."""
    with suppress(OSError):
        return authority_of(ssl.get_server_certificate((address, 8443), timeout=2).encode())
    return ""


def take_sample(webhook: Rotating, creates: Creates) -> Sample:
    secret = webhook.certs.secret("vci-webhook-tls").get("tls.crt", b"")
    return Sample(
        time.time(),
        tuple(str(each.subject.rfc4514_string()).removeprefix("CN=") for each in webhook.bundle()),
        authority_of(secret) if secret else "",
        tuple(presented(pod.address) for pod in webhook.deployed.pods()),
        creates.succeeded,
        len(creates.failures),
    )


@contextmanager
def sampling(webhook: Rotating, creates: Creates) -> Iterator[list[Sample]]:
    """Look at everything, again and again, until the block ends."""
    samples: list[Sample] = []
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(SAMPLE_SECONDS):
            with suppress(OSError):  # a machine that is too busy leaves a moment out
                samples.append(take_sample(webhook, creates))

    thread = threading.Thread(target=run, name="samples", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stopping.set()
        thread.join()


def forget_first_ca(webhook: Rotating) -> None:
    """Have a single CA to begin with: drop the one that the test made by hand."""

    def is_alone() -> bool:
        webhook.certs.ensure(*FLAGS)
        there = webhook.certs.admin.find("Secret", CA_SECRET, NAME) or {}
        annotations = there.get("metadata", {}).get("annotations", {})
        kept = json.loads(annotations.get(KEPT_UNTIL, "{}"))
        past = {KEPT_UNTIL: json.dumps(dict.fromkeys(kept, "2020-01-01T00:00:00Z"))}
        if len(webhook.bundle()) > 1 and webhook.signer() != {b""}:
            change = {"metadata": {"annotations": past}}
            webhook.certs.admin.patch("Secret", CA_SECRET, NAME, change)
        return webhook.first not in webhook.bundle()

    eventually(is_alone, "the end of the first CA", 60)


def record(webhook: Rotating) -> Timeline:
    """Rotate once, and give what was seen."""
    forget_first_ca(webhook)
    with (
        creating(webhook.certs.admin, NAMESPACE, RATE, is_right) as creates,
        sampling(webhook, creates) as samples,
        webhook.programs(*FLAGS) as (program,),
    ):
        eventually(lambda: ROLES[2] in steps_after_issue(program), "a whole rotation", 180)
        end = time.time() + CONTEXT_SECONDS
        eventually(lambda: time.time() > end, "some more samples")
        steps = [
            Step(datetime.fromisoformat(each["time"]).timestamp(), each["message"], each["object"])
            for each in program.records()
            if "why" in each
        ]
    return cut(Timeline(samples, steps))


def steps_after_issue(program: Program) -> list[str]:
    messages = program.messages()
    return messages[messages.index(ROLES[0]) :] if ROLES[0] in messages else []


def cut(timeline: Timeline) -> Timeline:
    """Keep one rotation, and a little before and after; count the time from its first step."""
    steps = timeline.steps
    first = next(i for i, step in enumerate(steps) if step.name == ROLES[0])
    last = next(i for i, step in enumerate(steps) if i > first and step.name == ROLES[2])
    begin = steps[first].at
    end = steps[last].at + CONTEXT_SECONDS
    return Timeline(
        [each for each in timeline.samples if begin - CONTEXT_SECONDS <= each.at <= end],
        [each for each in steps if begin <= each.at <= end],
    )


def main() -> int:
    paths = [Path(each) for each in sys.argv[1:]] or [PICTURE]
    with session.temporary_control_plane() as cluster:
        timeline = _record_on(cluster)
    for path in paths:
        draw(path, timeline)
    first, last = timeline.samples[0], timeline.samples[-1]
    created, failed = last.created - first.created, last.failed - first.failed
    print(f"{paths[0]}: {last.at - first.at:.0f} s, {created} creates, {failed} failed")
    return 1 if failed else 0


def _record_on(cluster: Cluster) -> Timeline:
    create_namespace(cluster.admin, NAMESPACE)
    with (
        running_node(cluster.plane, cluster.admin, sync_seconds=2.0) as node,
        rotating(cluster, node, NAMESPACE) as webhook,
    ):
        return record(webhook)


if __name__ == "__main__":
    sys.exit(session.run("tests.cluster.timeline", main))
