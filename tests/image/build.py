"""Builds the image as ``make image`` does, with buildah, on a base that needs no registry.

The storage is a temporary one. What was built of the same files before is taken from the cache.
``python -m tests.image.build`` builds it, and prints where its root file system is.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.image.base import (
    alone,
    base_archive,
    base_python,
    cache,
    key,
    platform_tags,
    run,
)
from tools.image.__main__ import ROOT, Build, revision, version

BASE = "localhost/base"
SECONDS = 1_700_000_000
KEPT = 3  # images; each has some 170 MB
COPIED = (
    *("Dockerfile", ".dockerignore", "LICENSE", "README.md", "pyproject.toml", "requirements"),
    *("webhook", "certs", "tools/__init__.py", "tools/image"),
)
DOWNLOAD = (
    *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
    *("--require-hashes", "--only-binary=:all:"),
)
LOCKS = [ROOT / "requirements" / name for name in ("runtime.txt", "image.txt")]


@dataclass(frozen=True, slots=True)
class Built:
    """An image, unpacked: its folder has ``layout`` (OCI) and ``rootfs``."""

    folder: Path

    @property
    def root(self) -> Path:
        """The root file system."""
        return self.folder / "rootfs"

    @property
    def manifest(self) -> dict[str, Any]:
        index = json.loads((self.folder / "layout" / "index.json").read_text("utf-8"))
        return dict(self._blob(index["manifests"][0]["digest"]))

    @property
    def config(self) -> dict[str, Any]:
        """What an engine is told about the image."""
        return dict(self._blob(self.manifest["config"]["digest"]))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that it sets."""
        return dict(line.split("=", 1) for line in self.config["config"]["Env"])

    @property
    def layers(self) -> list[str]:
        """The digests of its layers, uncompressed."""
        return list(self.config["rootfs"]["diff_ids"])

    def blob(self, digest: str) -> Path:
        """Find a part of the image by its digest."""
        return self.folder / "layout" / "blobs" / digest.replace(":", "/")

    def _blob(self, digest: str) -> Any:
        return json.loads(self.blob(digest).read_text("utf-8"))


def built_image() -> Built:
    """Return the image of this checkout, after building it where it is not kept yet."""
    with alone():
        if not (kept := _kept()).exists():
            with builder() as build, tempfile.TemporaryDirectory(dir=cache()) as folder:
                built = build(Path(folder, "image"))
                built.folder.rename(kept)
            _forget_old()
        os.utime(kept)
        return Built(kept)


def built_root() -> Path:
    """Return the image's root file system, for whoever runs something in it."""
    return built_image().root


def kept_image() -> Built | None:
    """Return the image of this checkout if it was built before; nothing is built."""
    kept = _kept()
    return Built(kept) if kept.exists() else None


def _kept() -> Path:
    files = sorted(path for name in COPIED for path in _files(ROOT / name))
    parts = [part for path in files for part in (str(path.relative_to(ROOT)), path.read_bytes())]
    own = Path(__file__).read_bytes()
    return cache() / f"image-{key(platform.machine(), own, *parts)}"


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for below in path.rglob("*"):
        if below.is_file() and "__pycache__" not in below.parts:
            yield below


def _forget_old() -> None:
    newest = sorted(cache().glob("image-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest[KEPT:]:
        shutil.rmtree(path)


@dataclass(frozen=True, slots=True)
class Builder:
    """Buildah with a storage of its own, in which the base is."""

    engine: Sequence[str]
    wheels: Path

    def __call__(self, folder: Path, context: Path = ROOT) -> Built:
        """Build the image from the beginning, and unpack it into a folder."""
        build = Build("localhost/vci-webhook", version(), revision(), SECONDS, base=BASE)
        build = replace(build, wheels=str(self.wheels), flags=("--isolation=chroot", "--no-cache"))
        run(build.command(self.engine, context))
        built = Built(folder)
        built.root.mkdir(parents=True)
        run([*self.engine, "push", "--quiet", build.image, f"oci:{folder}/layout:latest"])
        for layer in built.manifest["layers"]:
            run(["tar", "-C", str(built.root), "-xpf", str(built.blob(layer["digest"]))])
        return built


@contextmanager
def builder() -> Iterator[Builder]:
    """Have a builder with the base imported; its storage is gone afterwards."""
    archive, wheels = base_archive(), _wheels()
    folder = Path(tempfile.mkdtemp(prefix="storage-", dir=cache()))
    # A plain copy of files works everywhere, also where the cache lies on an overlay itself.
    storage = ["--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver=vfs"]
    engine = ["buildah", *storage]
    try:
        container = run([*engine, "from", "scratch"]).strip()
        run([*engine, "add", "--quiet", container, str(archive), "/"])
        run([*engine, "commit", "--quiet", "--rm", container, BASE])
        yield Builder(engine, wheels)
    finally:
        shutil.rmtree(folder)


def _wheels() -> Path:
    """Return a folder with every wheel of the locks, downloaded as pip is set up here."""
    python, tags = base_python(), platform_tags()
    hashed = key(python, *tags, *(lock.read_bytes() for lock in LOCKS))
    kept = cache() / f"wheels-{hashed}"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=cache(), prefix="wheels-") as folder:
            made = Path(folder, "wheels")
            wanted = [f"--python-version={python}", *(f"--platform={tag}" for tag in tags)]
            for lock in LOCKS:
                run([*DOWNLOAD, *wanted, "--dest", str(made), "--requirement", str(lock)])
            made.rename(kept)
    return kept


if __name__ == "__main__":
    print(subprocess.list2cmdline([str(built_root())]))
