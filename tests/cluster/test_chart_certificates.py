"""The chart in the two modes in which others issue, and from one of them to its own.

Nobody runs cert-manager here. A test plays its part by hand: it reads the Certificate that the
chart made, which the API server accepted by cert-manager's own definition, and writes Secret and
bundles as cert-manager's controller and CA injector do.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

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
from tests.cluster.inventory import Stored, added, stored_objects
from tests.cluster.process import eventually
from tests.cluster.released import LOADED, RATE, await_force, await_the_same, make_room

SECRET = f"{NAME}-tls"
STRICT: Object = {
    "replicas": 1,
    "server": {"drainSeconds": 5},  # the API server goes elsewhere within one
    "webhook": {"failurePolicy": "Fail"},
}
INJECTED = "cert-manager.io/inject-ca-from"
CERTIFICATES = f"/apis/cert-manager.io/v1/namespaces/{NAME}/certificates"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, its key, and the CA that vouches for it, as files."""

    folder: Path

    @property
    def authority(self) -> bytes:
        return (self.folder / "ca.crt").read_bytes()


@pytest.fixture(scope="module")
def before(helm: Helm) -> dict[Stored, object]:
    """Tell what there is without a release."""
    return make_room(helm)


@pytest.fixture(scope="module")
def release(helm: Helm, before: object) -> Iterator[Release]:
    """Have no release yet, but all that it takes."""
    assert before
    yield Release(helm)
    assert not helm.node.failures


def issue(helm: Helm, *names: str) -> Pair:
    """Issue a certificate as somebody does who has a CA of their own."""
    folder = Path(mkdtemp(prefix="pair-", dir=helm.folder))
    dns = [word for name in names for word in ("--dns", name)]
    command = [sys.executable, "-m", "certs", "issue", "--dir", str(folder), *dns]
    subprocess.run(command, check=True, capture_output=True)
    return Pair(folder)


def test_provided(release: Release) -> None:
    """With a Secret by ``kubectl create secret tls`` and its CA as a value it is in force."""
    pair = issue(release.helm, f"{NAME}.{NAME}.svc")
    files = [
        f"--{each}={pair.folder}/tls.{each.replace('cert', 'crt')}" for each in ("cert", "key")
    ]
    release.helm.cluster.plane.kubectl("-n", NAME, "create", "secret", "tls", SECRET, *files)
    provided = {"caBundle": base64.b64encode(pair.authority).decode()}
    release.install({**STRICT, "certificates": {"mode": "provided", "provided": provided}})
    await_force(release)
    for kind in (MUTATING, VALIDATING):
        assert release.bundles(kind) == [pair.authority]
    assert release.pods("certs") == []


def test_helm_test_tells_a_wrong_bundle(release: Release) -> None:
    """It passes when all is well, and fails while the bundle is not the one of the certificate.

    Here nobody repairs it, as while the certs program is away.
    """
    assert release.test().returncode == 0
    right = release.admin.get(MUTATING, NAME)["webhooks"]
    other = base64.b64encode(issue(release.helm, "other").authority).decode()
    wrong = [
        {**each, "clientConfig": {**each["clientConfig"], "caBundle": other}} for each in right
    ]
    release.admin.patch(MUTATING, NAME, "", {"webhooks": wrong})
    broken = release.test()
    release.admin.patch(MUTATING, NAME, "", {"webhooks": right})
    assert broken.returncode == 1


def test_from_provided_to_self_loses_nothing(
    release: Release, before: dict[Stored, object]
) -> None:
    """The certs program takes over what is there: every create succeeds, and later all is gone."""
    (provided,) = release.bundles()
    self = {"mode": "self", "provided": {"caBundle": ""}, "self": {"publishWait": "2s"}}
    with creating(release.admin, LOADED, RATE, is_right) as creates:
        release.upgrade({"certificates": self})
        eventually(lambda: signer(release) != provided, "a certificate of its own", 30)
        total = creates.total
        eventually(lambda: creates.total > total + 4 * RATE, "its arrival at the replicas")
        release.upgrade({"podLabels": {"example.com/next": "upgrade"}})
    tell("from provided to self", creates)
    assert not creates.failures
    (bundle,) = release.bundles()
    assert signer(release) in bundle
    assert provided in bundle
    release.uninstall()
    await_the_same(release, before)


def signer(release: Release) -> bytes:
    """Give the CA of the certificate that is to be served."""
    secret = release.admin.get("Secret", SECRET, NAME)
    return base64.b64decode(secret["data"].get("ca.crt", ""))


def play_cert_manager(release: Release) -> Pair:
    """Do what cert-manager does: issue what the Certificate asks for, and write the bundles."""
    admin = release.admin
    wanted = json.loads(admin.send("GET", f"{CERTIFICATES}/{NAME}"))["spec"]
    pair = issue(release.helm, *wanted["dnsNames"])
    data = {
        name: base64.b64encode((pair.folder / name).read_bytes()).decode()
        for name in ("ca.crt", "tls.crt", "tls.key")
    }
    metadata = {"name": wanted["secretName"], "namespace": NAME}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls"}
    admin.create({**secret, "metadata": metadata, "data": data})
    for kind in (MUTATING, VALIDATING):
        found = admin.get(kind, NAME)
        assert found["metadata"]["annotations"][INJECTED] == f"{NAME}/{NAME}"
        for webhook in found["webhooks"]:
            webhook["clientConfig"]["caBundle"] = data["ca.crt"]
        admin.patch(kind, NAME, "", {"webhooks": found["webhooks"]})
    return pair


def test_cert_manager(release: Release, before: dict[Stored, object]) -> None:
    """Replicas wait for the Secret, serve once it is there, and an upgrade keeps the bundle.

    What cert-manager wrote is cert-manager's: it leaves its Secret when the Certificate goes.
    """
    issuer = {"name": "ca", "kind": "ClusterIssuer"}
    values = {"certificates": {"mode": "certManager", "certManager": {"issuerRef": issuer}}}
    release.install({**STRICT, **values}, flags=())
    pair = play_cert_manager(release)
    await_force(release)
    release.upgrade({"webhook": {"timeoutSeconds": 4}})
    for kind in (MUTATING, VALIDATING):
        assert release.bundles(kind) == [pair.authority]
    await_force(release)
    release.uninstall()
    await_only_the_secret(release, before)


def test_provided_is_uninstalled_too(release: Release, before: dict[Stored, object]) -> None:
    """Somebody's own Secret is left, and nothing else."""
    pair = issue(release.helm, f"{NAME}.{NAME}.svc")
    provided = {"caBundle": base64.b64encode(pair.authority).decode()}
    release.install({**STRICT, "certificates": {"mode": "provided", "provided": provided}}, ())
    release.uninstall()
    await_only_the_secret(release, before)


def await_only_the_secret(release: Release, before: dict[Stored, object]) -> None:
    def left() -> list[str]:
        return added(before, stored_objects(release.admin))

    eventually(lambda: left() == [f"secrets {NAME}/{SECRET}"], "nothing else left", 45)
