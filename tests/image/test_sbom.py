"""The list of what the image contains, and the licences of it."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.image.build import LOCKS, Built
from tools.image.__main__ import ROOT, version
from tools.image.licences import PAGE, is_allowed, locked, page
from tools.image.sbom import PLACE


@pytest.fixture
def sbom(image: Built) -> dict[str, Any]:
    """Read the list as it lies in the image."""
    return dict(json.loads((image.root / PLACE).read_text("utf-8")))


def test_the_list_is_a_valid_one(image: Built) -> None:
    """It keeps to the schema of CycloneDX 1.6, strictly."""
    text = (image.root / PLACE).read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_it_names_us_and_every_package(sbom: dict[str, Any]) -> None:
    """Each locked package with version, purl and licence; and Python, and the base's libraries."""
    assert sbom["metadata"]["component"]["name"] == "vci-webhook"
    assert sbom["metadata"]["component"]["version"] == version()
    found = {part["purl"]: part for part in sbom["components"]}
    for name, number in locked(LOCKS[0].read_text("utf-8")).items():
        assert found[f"pkg:pypi/{name}@{number}"]["licenses"], name
    kinds = {purl.split("/")[0] for purl in found}
    assert {"pkg:pypi", "pkg:generic", "pkg:deb"} == kinds
    names = {part["name"] for part in sbom["components"]}
    assert {"python", "libc6", "libssl3"} <= names or "libssl3t64" in names


def test_everything_is_there_because_somebody_needs_it(sbom: dict[str, Any]) -> None:
    """From us, each part is reached by what depends on what."""
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in sbom["dependencies"]}
    reached: set[str] = set()
    ahead = [sbom["metadata"]["component"]["bom-ref"]]
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead += [other for other in needs[name] if other not in reached]
    assert {part["bom-ref"] for part in sbom["components"]} <= reached


def test_licences_are_listed_as_they_are() -> None:
    """docs/licences.md is what the locked packages themselves say."""
    assert PAGE.read_text("utf-8") == page()


@pytest.mark.parametrize("row", [line for line in page().splitlines() if line.startswith("| ")][1:])
def test_each_licence_lets_us_hand_the_package_on(row: str) -> None:
    """No package has a licence that is not on the list of those that we looked at."""
    assert is_allowed(row.split(" | ")[2].removesuffix(" |")), row


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("AGPL-3.0-or-later", False),
        ("unknown", False),
        ("MIT AND (BSD-3-Clause OR GPL-3.0-only)", False),
    ],
)
def test_an_unlisted_licence_is_refused(expression: str, *, allowed: bool) -> None:
    """Of a choice one must be on the list, of several all; what is not understood is refused."""
    assert is_allowed(expression) is allowed


def test_the_build_uses_the_locks() -> None:
    """Every package of the image, and of what builds it, is checked against its hash."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    assert "--require-hashes" in text
    for lock in LOCKS:
        assert f"requirements/{lock.name}" in text
