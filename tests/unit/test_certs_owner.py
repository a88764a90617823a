"""The Secrets belong to the account of the program that makes them, and go when it goes."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from certs.objects import change, creation, read_secret
from certs.observed import Observed, Secret
from certs.owner import Owner, read_owner
from certs.perform import SecretWrite
from certs.plan import Act
from tests.unit.certs_world import MUTATING, PARAMETERS, VALIDATING, World
from tests.unit.test_certs_plan import acts, installed

OWNER = Owner("vci-webhook-certs", "2c1d7b9e-0000-4000-8000-000000000001")
REFERENCE = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "name": OWNER.name,
    "uid": OWNER.uid,
}


def token(**claims: Any) -> str:
    """Write a token as an API server does; who reads it here does not look at the signature."""
    account = {"name": OWNER.name, "uid": OWNER.uid}
    content = {"kubernetes.io": {"namespace": "vci-webhook", "serviceaccount": account, **claims}}
    parts = (json.dumps(each).encode() for each in ({"alg": "RS256"}, content))
    encoded = [base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts]
    return ".".join([*encoded, "signature"])


def stored(owners: list[dict[str, str]]) -> dict[str, Any]:
    """Write a Secret that belongs to somebody."""
    metadata = {"resourceVersion": "7", "ownerReferences": owners}
    return {"metadata": metadata, "type": "Opaque", "data": {}}


def test_a_token_tells_whose_it_is() -> None:
    """Name and uid of the account, which no right is needed for."""
    assert read_owner(token(), "vci-webhook") == OWNER
    assert OWNER.reference == REFERENCE


@pytest.mark.parametrize(
    "text",
    [
        token(namespace="other"),
        token(serviceaccount={"name": "n"}),
        token(serviceaccount=1),
        "opaque",
        "a.b.c",
        "a.!.c",
        "",
    ],
)
def test_who_cannot_be_told_owns_nothing(text: str) -> None:
    """What belongs to an object of another namespace, or to none, would be collected at once."""
    assert read_owner(text, "vci-webhook") is None


def test_a_secret_is_created_with_its_owner() -> None:
    """From the first moment it goes when the account goes; without an account it stays."""
    write = SecretWrite(PARAMETERS.ca, None, "Opaque", {})
    assert creation(write, OWNER)["metadata"]["ownerReferences"] == [REFERENCE]
    assert "ownerReferences" not in creation(write)["metadata"]


def test_whose_a_secret_is() -> None:
    """It is this account's by the uid: another one of that name was another installation's."""
    before = {**REFERENCE, "uid": "before"}
    assert read_secret(stored([REFERENCE]), OWNER).owned
    assert not read_secret(stored([before]), OWNER).owned
    assert not read_secret(stored([]), OWNER).owned
    assert read_secret(stored([])).owned


@pytest.mark.parametrize("owned", [True, False])
def test_a_write_makes_a_secret_its_writers(*, owned: bool) -> None:
    """The owner is written once, and left alone where it is right."""
    secret = Secret("7", "Opaque", {}, owned=owned)
    written = {
        each["path"]: each["value"]
        for each in change(SecretWrite(PARAMETERS.ca, secret, "Opaque", {}), OWNER)
    }
    assert written.get("/metadata/ownerReferences") == (None if owned else [REFERENCE])


def test_secrets_of_nobody_are_adopted() -> None:
    """Of an earlier version, or of an installation that is gone: as they are, and nothing else."""
    before = installed().stored
    assert before.ca
    assert before.serving
    secrets = replace(before.ca, owned=False), replace(before.serving, owned=False)
    world = World(Observed(*secrets, before.configurations))
    assert acts(world.rest()) == [Act.ADOPT, Act.ADOPT]
    assert (world.stored.ca and world.stored.ca.data) == before.ca.data
    assert (world.stored.serving and world.stored.serving.data) == before.serving.data
    assert world.plan().is_good


def test_what_is_written_anyway_is_not_adopted_besides() -> None:
    """A renewal makes the Secret this account's in the same write."""
    world = installed()
    serving = world.stored.serving
    assert serving
    damaged = replace(serving, data={}, owned=False)
    found = {each: world.stored.configurations[each] for each in (MUTATING, VALIDATING)}
    world = World(Observed(world.stored.ca, damaged, found), now=world.now)
    assert acts(world.rest()) == [Act.SIGN]
    assert world.plan().is_good
