"""A base for the image where no registry can be reached: made by debootstrap, kept in the cache.

It is what this machine's own apt is set up for, Debian or Ubuntu, with Python and pip.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.needs import lack

PROGRAMS = ("buildah", "debootstrap", "apt-get", "unshare", "setpriv", "mount")
PACKAGES = "python3,python3-pip"
DEVICES = "./dev/*"  # an engine makes its own


def why_impossible() -> str:
    """Return why no image can be built here, or nothing."""
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"building the image takes {', '.join(missing)}"
    if sys.platform != "linux" or os.geteuid():
        return "building the image on a base of our own takes Linux and root"
    trial = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "building the image takes the right to mount" if trial.returncode else ""


def need_buildah() -> None:
    """Go on only where the image can be built."""
    if why := why_impossible():
        lack(why)


def cache() -> Path:
    """Return the folder outside the checkout where what the image is made of is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base, "vci-webhook", "image")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def key(*parts: str | bytes) -> str:
    """Hash what decides how something comes out."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()[:16]


@contextmanager
def alone() -> Iterator[None]:
    """Have the cache for ourselves."""
    with (cache() / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def release() -> str:
    """Name the release of this machine's system."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def base_archive() -> Path:
    """Return the base as an archive, after making it where it is not kept yet."""
    kept = cache() / f"base-{key(release(), platform.machine(), PACKAGES)}.tar"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=cache(), prefix="base-") as folder:
            root = Path(folder, "root")
            run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", *_source(root)])
            made = Path(folder, "base.tar")
            run(["tar", "-C", str(root), f"--exclude={DEVICES}", "-cf", str(made), "."])
            made.rename(kept)
    return kept


def base_python() -> str:
    """Tell which Python the base has, which need not be the one of the tests."""
    told = run(["tar", "-tvf", str(base_archive()), "./usr/bin/python3"])
    return told.strip().rpartition("-> python")[2]


def platform_tags() -> list[str]:
    """Name the wheels that the base takes: its C library is that of this machine."""
    machine = platform.machine()
    newest = int(platform.libc_ver()[1].rpartition(".")[2])
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, 4, -1)]
    return [*tags, f"manylinux2014_{machine}"]


def _source(root: Path) -> list[str]:
    """Take what apt takes: nothing about a mirror is written down here."""
    line = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
    told = run(["apt-get", "indextargets", "--format", line, "Created-By: Packages"])
    found = [words for line in told.splitlines() if (words := line.split())[1] == release()]
    components = dict.fromkeys(words[2] for words in found)
    return [f"--components={','.join(components)}", release(), str(root), found[0][0]]


def run(command: Sequence[str]) -> str:
    """Run a program to its end, and return what it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}\n{told}")
    return done.stdout
