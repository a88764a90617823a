"""What is in the image, what is not, and what an engine is told about it."""

import json
import os
import re
import stat
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tests.image.build import BASE, LOCKS, SECONDS, Built
from tools.image.__main__ import ROOT, version
from tools.image.licences import locked

MEGABYTE = 1_000_000
# No pip, no package manager, no shell, no compiler; no tests, no caches, nothing of a checkout.
UNWANTED = re.compile(
    r"""(^|/)(
    pip|ensurepip|setuptools|wheel|python-wheels|apt|dpkg-query|dpkg\.d
    |(ba|da|z)?sh|busybox|perl(\d.*)?|gcc(-\d+)?|cc|c\+\+|g\+\+|ld|as|make
    |tests?|\.git.*|\.cache|cache|pip\.conf|direct_url\.json|.*\.(whl|a|o|orig|swp)
    )$""",
    re.VERBOSE,
)
# Folders of notices of the base's packages, by their names, are not the packages.
NOTICES = ("usr/share/doc/", "var/lib/dpkg/status.d/")
UNCHECKED_HASH = (
    1  # PEP 552: the first bit says that there is a hash, the second that it is checked
)


def entries(image: Built) -> Iterator[Path]:
    yield from sorted(image.root.rglob("*"))


def packages(image: Built) -> Path:
    return next((image.root / "opt" / "vci-webhook" / "lib").glob("python3.*")) / "site-packages"


def test_an_engine_is_told_whom_and_what_to_run(image: Built) -> None:
    """A numeric user, for ``runAsNonRoot``; a command, no shell; both ports; no HEALTHCHECK."""
    config = image.config["config"]
    assert config["User"] == "65532:65532"
    assert config["Cmd"] == ["vci-webhook", "serve"]
    assert not config.get("Entrypoint")
    assert set(config["ExposedPorts"]) == {"8443/tcp", "8080/tcp"}
    assert config["WorkingDir"] == "/"
    assert "Healthcheck" not in json.dumps(image.config)
    assert "HEALTHCHECK" not in (ROOT / "Dockerfile").read_text("utf-8")


def test_labels_tell_what_it_is(image: Built) -> None:
    """The labels of the OCI: title, licence, version, commit, time and base."""
    told = image.config["config"]["Labels"]
    labels = {name.removeprefix("org.opencontainers.image."): told[name] for name in told}
    assert labels["title"] == "vci-webhook"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == version()
    assert labels["created"] == "2023-11-14T22:13:20Z"
    assert labels["base.name"] == BASE
    assert {"description", "revision", "source"} <= labels.keys()


def test_it_is_small(image: Built) -> None:
    """Less than 150 MB on a node, less than 60 MB to pull, in one layer."""
    size = sum(path.lstat().st_size for path in entries(image) if not path.is_dir())
    [layer] = image.manifest["layers"]
    print(f"unpacked {size / MEGABYTE:.0f} MB, to pull {layer['size'] / MEGABYTE:.0f} MB")
    assert size < 150 * MEGABYTE
    assert layer["size"] < 60 * MEGABYTE


def test_it_contains_nothing_that_a_server_does_not_need(image: Built) -> None:
    """No pip, no shell, no compiler, no tests, no caches, nothing of a checkout."""
    names = [path.relative_to(image.root).as_posix() for path in entries(image)]
    assert [n for n in names if UNWANTED.search(n) and not n.startswith(NOTICES)] == []
    programs = [path for path in entries(image) if path.parent.name in ("bin", "sbin")]
    assert {re.sub(r"3(\.\d+)?$", "", path.name) for path in programs} == {"python", "vci-webhook"}


def test_nothing_in_it_can_be_written_or_raises_anybody(image: Built) -> None:
    """No setuid, no setgid, no file that others than root may write; no device, no socket."""
    for path in entries(image):
        mode = path.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode), path
        assert stat.S_ISLNK(mode) or not mode & (stat.S_ISUID | stat.S_ISGID | 0o022), path
        assert (path.lstat().st_uid, path.lstat().st_gid) == (0, 0), path


def test_links_lead_somewhere(image: Built) -> None:
    """Every symbolic link has its target in the image, also seen from its own root."""
    for path in [path for path in entries(image) if path.is_symlink()]:
        target = path.readlink()
        there = (
            image.root / target.relative_to("/") if target.is_absolute() else path.parent / target
        )
        assert os.path.lexists(there), path


def test_every_time_is_that_of_the_commit(image: Built) -> None:
    """No file tells when it was built."""
    assert {int(path.lstat().st_mtime) for path in entries(image)} == {SECONDS}
    assert image.config["created"].startswith("2023-11-14T22:13:20")


def test_packages_are_those_of_the_lock(image: Built) -> None:
    """What is installed are the locked versions and ourselves, nothing more, nothing less."""
    there = {
        found.metadata["Name"].lower().replace("_", "-"): found.version
        for found in metadata.distributions(path=[str(packages(image))])
    }
    assert there.pop("vci-webhook") == version()
    assert there == locked(LOCKS[0].read_text("utf-8"))


@pytest.mark.parametrize("name", ["webhook", "certs"])
def test_our_packages_are_whole(image: Built, name: str) -> None:
    """Every module of the checkout is there as it is here."""
    for path in (ROOT / name).rglob("*.py"):
        there = packages(image) / path.relative_to(ROOT)
        assert there.read_bytes() == path.read_bytes(), path


def test_everything_is_compiled_once_and_for_all(image: Built) -> None:
    """A read-only root keeps no compiled code, and file times prove nothing where all are one."""
    sources = [path for path in entries(image) if path.suffix == ".py"]
    compiled = [path for path in entries(image) if path.suffix == ".pyc"]
    assert {path.parent.parent / f"{path.name.split('.')[0]}.py" for path in compiled} == set(
        sources
    )
    assert {int.from_bytes(path.read_bytes()[4:8], "little") for path in compiled} == {
        UNCHECKED_HASH
    }
