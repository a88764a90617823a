"""The list of what the image contains (CycloneDX), written in its build stage into the image.

Made again of the same things it is the same, byte by byte.
"""

import os
import platform
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.image.debian import STATUS, fields
from tools.image.licences import UNKNOWN, licence

NAME = "vci-webhook"
PLACE = Path("usr/share/vci-webhook/sbom.cdx.json")

Components = dict[str, Component]


def write_sbom(root: Path, packages: Path) -> None:
    """List what is in the root, where a person and a scanner find it."""
    distributions = list(metadata.distributions(path=[str(packages)]))
    ours = {_name(distribution): _package(distribution) for distribution in distributions}
    bom = Bom(components=[part for name, part in ours.items() if name != NAME])
    bom.metadata.component = ours[NAME]
    bom.metadata.component.type = ComponentType.APPLICATION
    for distribution in distributions:
        needed = _needed(distribution, ours)
        bom.register_dependency(ours[_name(distribution)], needed)
    for part in (_python(), *_system(root)):
        bom.components.add(part)
        bom.register_dependency(bom.metadata.component, [part])
    bom.metadata.timestamp = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    bom.serial_number = uuid.uuid5(
        uuid.NAMESPACE_URL, " ".join(sorted(str(part.purl) for part in bom.components))
    )
    path = root / PLACE
    path.parent.mkdir(parents=True)
    output = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    path.write_text(output.output_as_string(indent=1) + "\n", "utf-8")


def _name(distribution: metadata.Distribution) -> str:
    return canonicalize_name(distribution.metadata["Name"])


def _package(distribution: metadata.Distribution) -> Component:
    name, version = _name(distribution), distribution.version
    told = licence(distribution.metadata)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}=={version}",
        purl=PackageURL("pypi", None, name, version),
        licenses=[] if told == UNKNOWN else [LicenseFactory().make_from_string(told)],
    )


def _needed(distribution: metadata.Distribution, ours: Components) -> list[Component]:
    """List what a package depends on and the image has; extras of it are not there."""
    asked = [Requirement(line) for line in distribution.requires or []]
    names = [
        canonicalize_name(requirement.name)
        for requirement in asked
        if not requirement.marker or requirement.marker.evaluate({"extra": ""})
    ]
    return [ours[name] for name in sorted(set(names)) if name in ours]


def _python() -> Component:
    version = platform.python_version()
    return Component(
        name="python",
        version=version,
        type=ComponentType.PLATFORM,
        bom_ref=f"python=={version}",
        purl=PackageURL("generic", None, "python", version),
        licenses=[LicenseFactory().make_from_string("PSF-2.0")],
    )


def _system(root: Path) -> Iterator[Component]:
    """List the packages of the base of which files are in the image."""
    for path in sorted((root / STATUS).glob("*")):
        told = fields(path.read_text("utf-8"))
        name, version = told["Package"], told["Version"]
        qualifiers = {"arch": told["Architecture"]}
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref=f"deb:{name}={version}",
            purl=PackageURL("deb", "debian", name, version, qualifiers),
        )
