"""From the certs program to a certificate of one's own, as docs/upgrade.md has it."""

import base64
from collections.abc import Iterator

import pytest

from tests.cluster.client import Object
from tests.cluster.creating import creating, tell
from tests.cluster.deployed import is_right
from tests.cluster.helming import (
    MUTATING,
    NAME,
    VALIDATING,
    Helm,
    Release,
)
from tests.cluster.process import eventually
from tests.cluster.released import LOADED, RATE, await_force, make_room
from tests.cluster.test_chart_certificates import issue

OWN = "webhook-certificate"
CERTS = "app.kubernetes.io/component=certs"
OF_THE_PROGRAM = {f"{NAME}-ca", f"{NAME}-tls"}
FORCED = ("--reset-then-reuse-values", "--force-conflicts")


@pytest.fixture(scope="module")
def release(helm: Helm) -> Iterator[Release]:
    """A release whose certs program issued a certificate, with ``failurePolicy: Fail``."""
    make_room(helm)
    release = Release(helm)
    release.install({"replicas": 1, "webhook": {"failurePolicy": "Fail"}})
    await_force(release)
    yield release
    assert not helm.node.failures


def certificates(*authorities: bytes) -> Object:
    bundle = base64.b64encode(b"".join(authorities)).decode()
    provided = {"secretName": OWN, "caBundle": bundle}
    return {"certificates": {"mode": "provided", "provided": provided}}


def test_from_self_to_provided_loses_nothing(release: Release) -> None:
    """The program ends, then both CAs are a value, later one's own alone: every create succeeds."""
    pair = issue(release.helm, f"{NAME}.{NAME}.svc")
    files = (f"--cert={pair.folder}/tls.crt", f"--key={pair.folder}/tls.key")
    plane = release.helm.cluster.plane
    plane.kubectl("-n", NAME, "create", "secret", "tls", OWN, *files)
    (issued,) = release.bundles()
    with creating(release.admin, LOADED, RATE, is_right) as creates:
        plane.kubectl("-n", NAME, "scale", "deployment", f"{NAME}-certs", "--replicas=0")
        plane.kubectl("-n", NAME, "wait", "pod", f"--selector={CERTS}", "--for=delete")
        release.upgrade(certificates(issued, pair.authority), FORCED)
        release.upgrade(certificates(pair.authority))
        total = creates.total
        eventually(lambda: creates.total > total + RATE, "creates afterwards")
    tell("from self to provided", creates)
    assert not creates.failures
    for kind in (MUTATING, VALIDATING):
        assert release.bundles(kind) == [pair.authority]
    assert release.pods("certs") == []
    eventually(lambda: not secrets(release) & OF_THE_PROGRAM, "the end of the program's Secrets")
    assert OWN in secrets(release)


def secrets(release: Release) -> set[str]:
    return {each["metadata"]["name"] for each in release.admin.list("Secret", NAME)}
