"""Whoever builds the same commit on the same base gets the same image."""

import os
import shutil
from pathlib import Path

from tests.image.base import alone
from tests.image.build import COPIED, Built, builder
from tools.image.__main__ import ROOT


def other_checkout(folder: Path) -> Path:
    """Copy what is built: elsewhere, at another time, under another umask."""
    for name in COPIED:
        source, there = ROOT / name, folder / name
        there.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, there)
        else:
            shutil.copyfile(source, there)
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return folder


def test_two_builds_give_the_same_image(image: Built, tmp_path: Path) -> None:
    """The same layers, and the same configuration but for the commit that it names."""
    with alone(), builder() as build:
        again = build(tmp_path / "image", context=other_checkout(tmp_path / "checkout"))
    assert again.layers == image.layers
    assert again.manifest["layers"] == image.manifest["layers"]
    told, told_before = again.config["config"], image.config["config"]
    for labels in (told["Labels"], told_before["Labels"]):
        labels.pop("org.opencontainers.image.revision", None)
    assert told == told_before
