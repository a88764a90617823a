"""Builds the Go webhooks that the server is measured beside; each says at its top what it is.

They are built once for each state of their sources, into the cache of the control plane's programs.
"""

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.cluster.binaries import FLAGS, BuildError, cache, find_go

NAMES = ("lean", "plain", "runtime")
SOURCES = Path(__file__).parent


def build() -> dict[str, Path]:
    """Return where each program is, after building what is missing."""
    folder = cache() / f"peers-{_key()}"
    missing = [name for name in NAMES if not (folder / name).exists()]
    if missing:
        print(
            f"building the Go webhooks {', '.join(missing)} into {folder} (once; a minute or two)",
            flush=True,
        )
        _build(find_go(), missing, folder)
    return {name: folder / name for name in NAMES}


def _key() -> str:
    """Hash what decides the outcome of the builds."""
    digest = hashlib.sha256(repr((FLAGS, sys.platform, platform.machine())).encode())
    for path in sorted(
        each for each in SOURCES.rglob("*") if each.suffix in {".go", ".mod", ".sum"}
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build(go: str, names: list[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [go, "build", *FLAGS, "-ldflags", "-s -w", "-o", f"{folder}{os.sep}"]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(
        [*command, *(f"./{name}" for name in names)],
        cwd=SOURCES,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(done.args)}: in {SOURCES}\n{done.stderr}")
