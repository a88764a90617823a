"""What stands for a container image: folders of this machine that a container sees, read-only.

A container sees nothing else: no /tmp, no /etc but a few files, nothing of the repository beside
the two packages. What is missing in an image is missing here.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import certs
import webhook

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
FILES = ("/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/mime.types")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """A root file system, the PATH in it, and as whom its processes run unless a Pod says."""

    folders: tuple[Path, ...]
    path: str
    user: int = 65532

    def mount_commands(self) -> list[str]:
        """Give the shell commands that build the root in the current folder."""
        return [line for folder in self.folders for line in _mount(folder)]


def _mount(path: Path) -> list[str]:
    there = f".{path}"
    if path.is_symlink():
        return [f"ln -s '{path.readlink()}' '{there}'"]
    make = f"mkdir -p '{there}'"
    if path.is_file():
        make = f"mkdir -p '.{path.parent}'; touch '{there}'"
    return [make, f"mount --rbind '{path}' '{there}'", f"mount -o remount,bind,ro '{there}'"]


def python_image() -> Image:
    """Give the image that has this Python with its packages, and this repository's two."""
    packages = [Path(module.__path__[0]) for module in (webhook, certs)]
    prefixes = dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix)))
    own = [path for path in (*prefixes, *packages) if not path.is_relative_to("/usr")]
    system = [path for path in map(Path, (*SYSTEM, *FILES)) if path.exists()]
    return Image((*system, *own), f"{sys.prefix}/bin:{SYSTEM_PATH}")
