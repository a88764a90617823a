"""What stands for a container image: folders of this machine that a container sees, read-only.

A container sees nothing else: no /tmp, no /etc but a few files, nothing of the repository beside
the two packages. What is missing in an image is missing here.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import certs
import webhook

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
FILES = ("/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/mime.types")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """A root file system, variables, and as whom its processes run unless a Pod says."""

    folders: tuple[Path, ...]
    environment: Mapping[str, str]
    user: int = 65532
    unpacked: Path | None = None  # a whole root file system, instead of folders

    def mount_commands(self) -> list[str]:
        """Give the shell commands that build the root in the current folder."""
        if self.unpacked is None:
            return [line for folder in self.folders for line in _mount(folder)]
        layers = f"lowerdir={self.unpacked},upperdir=$PWD/upper,workdir=$PWD/work"
        return ["mkdir upper work root", f'mount -t overlay -o "{layers}" image root', "cd root"]


def _mount(path: Path) -> list[str]:
    there = f".{path}"
    if path.is_symlink() and path.parent == Path("/"):
        return [f"ln -s '{path.readlink()}' '{there}'"]
    make = f"mkdir -p '{there}'"
    if path.is_file():
        make = f"mkdir -p '.{path.parent}'; touch '{there}'"
    return [make, f"mount --rbind '{path}' '{there}'", f"mount -o remount,bind,ro '{there}'"]


def unpacked_image(root: Path, environment: Mapping[str, str]) -> Image:
    """Give an image that was built; it need not have a shell or any program of this machine.

    By its PATH the programs are found that bring a process into it, and so it is made longer.
    """
    path = f"{environment['PATH']}:{SYSTEM_PATH}"
    return Image((), {**environment, "PATH": path}, unpacked=root)


def python_image() -> Image:
    """Give the image that has this Python with its packages, and this repository's two."""
    packages = [Path(module.__path__[0]) for module in (webhook, certs)]
    prefix = Path(sys.prefix)  # its scripts name the path at which it was made
    prefixes = dict.fromkeys((Path(sys.base_prefix), prefix, prefix.resolve()))
    own = [path for path in (*prefixes, *packages) if not path.is_relative_to("/usr")]
    system = [path for path in map(Path, (*SYSTEM, *FILES)) if path.exists()]
    environment = {
        "PATH": f"{sys.prefix}/bin:{SYSTEM_PATH}",
        "PYTHONPATH": str(packages[0].parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Image((*system, *own), environment)
