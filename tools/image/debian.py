"""What dpkg knows of the files that come from the base: their packages, and whose they are.

Scanners look for packages of the system in ``/var/lib/dpkg/status.d``, one file each.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tools.image.copying import copy_file

STATUS = Path("var/lib/dpkg/status.d")


def copy_notices(paths: Iterable[Path], root: Path) -> None:
    """Record the packages of these files, with the notices that their licences ask for."""
    if not shutil.which("dpkg-query"):
        return
    (root / STATUS).mkdir(parents=True)
    for package in sorted(_owners(paths)):
        name = package.partition(":")[0]
        (root / STATUS / name).write_text(_output("--status", package), "utf-8")
        notice = Path("/usr/share/doc", name, "copyright")
        if notice.exists():
            copy_file(notice, root)


def _owners(paths: Iterable[Path]) -> set[str]:
    """Ask by both names that a file has where /lib is a link to /usr/lib."""
    names = {str(path) for path in paths} | {str(path.resolve()) for path in paths}
    names |= {name.removeprefix("/usr") for name in names if name.startswith("/usr/lib")}
    told = _output("--search", *sorted(names))
    return {match[1] for match in re.finditer(r"^([^\s,]+): ", told, re.MULTILINE)}


def fields(status: str) -> dict[str, str]:
    """Read the fields of one package, each by its first line."""
    return dict(re.findall(r"^([A-Z][\w-]*): (.*)$", status, re.MULTILINE))


def _output(*arguments: str) -> str:
    command = ["dpkg-query", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
