"""``python -m tools.image.root FOLDER``: puts the image's root file system together.

It runs in the build stage of the Dockerfile, on whatever base that has: Python and its standard
library, the shared libraries that they load, the packages in /opt/vci-webhook. No shell, no package
manager, no compiler. Compiled code and file times depend on nothing but what is built.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tools.image.copying import Tree, copy_file, copy_tree, everything, inside
from tools.image.debian import copy_notices
from tools.image.libraries import libraries
from tools.image.sbom import write_sbom

HOME = Path("/opt/vci-webhook")
USER = 65532
# For terminals, databases and developers; each would bring a library of the system more.
STDLIB_WITHOUT = (
    *("test", "tests", "idle_test", "idlelib", "tkinter", "turtle.py", "turtledemo", "ensurepip"),
    *("lib2to3", "pydoc_data", "distutils", "site-packages", "dist-packages", "config-*"),
    *("sitecustomize.py",),
    *("_test*", "_xxtestfuzz*", "xxlimited*", "_ctypes_test*", "_tkinter*", "nis.*", "_curses*"),
    *("readline.*", "_dbm.*", "_gdbm.*", "dbm", "_sqlite3.*", "sqlite3", "curses", "ossaudiodev.*"),
)
PACKAGES_WITHOUT = ("tests", "test")
# A class for every kind and every call of Kubernetes, a third of the image: nothing imports one.
GENERATED = r"kubernetes/(aio/)?client/(api|models)/(?!__init__\.).*"
FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/:/sbin/nologin\n"
        f"vci-webhook:x:{USER}:{USER}:vci-webhook:/:/sbin/nologin\n"
    ),
    "etc/group": f"root:x:0:\nvci-webhook:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def assemble(root: Path) -> None:
    """Fill an empty folder with everything that the image has."""
    root.mkdir()
    for tree in (_stdlib(), Tree(_packages(), PACKAGES_WITHOUT, GENERATED)):
        copy_tree(tree, root)
    for path in _programs():
        copy_file(path, root)
    programs = list(_extensions(root))
    system = libraries(programs)
    for path in [path for path in system if not path.is_relative_to(HOME)]:
        copy_file(path, root)
    _link_tops(root)
    _write_settings(root)
    copy_notices([*programs, *system], root)
    _compile(root)


def _stdlib() -> Tree:
    return Tree(Path(sysconfig.get_path("stdlib")), STDLIB_WITHOUT)


def _packages() -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(HOME)}))


def _programs() -> Iterator[Path]:
    yield HOME / "pyvenv.cfg"
    yield HOME / "bin" / "vci-webhook"
    yield from sorted((HOME / "bin").glob("python*"))


def _extensions(root: Path) -> Iterator[Path]:
    """Name what loads shared libraries, where it lies in the build stage."""
    yield (HOME / "bin" / "python").resolve()
    for path in sorted(root.rglob("*.so")) + sorted(root.rglob("*.so.*")):
        if not path.is_symlink():
            yield Path("/", path.relative_to(root))


def _link_tops(root: Path) -> None:
    """Where /lib is a link to /usr/lib, programs are told to look there all the same."""
    for top in (Path("/lib"), Path("/lib64")):
        if top.is_symlink():
            (root / top.name).symlink_to(top.readlink())


def _write_settings(root: Path) -> None:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    for path in (Path("/etc/ssl/openssl.cnf"), Path("/usr/lib/ssl/openssl.cnf")):
        if path.exists():
            copy_file(path, root)
    _index_libraries(root)


def _index_libraries(root: Path) -> None:
    """Have the loader find the libraries where the base has them."""
    settings = [Path("/etc/ld.so.conf"), *Path("/etc/ld.so.conf.d").glob("*.conf")]
    for path in settings:
        copy_file(path, root)
    subprocess.run(["/sbin/ldconfig", "-r", str(root)], check=True)
    shutil.rmtree(root / "var" / "cache", ignore_errors=True)


def _compile(root: Path) -> None:
    """Compile what is imported: nothing can be at run time, where the root is read-only."""
    folders = [
        inside(Path(sysconfig.get_path("stdlib")).resolve(), root),
        inside(_packages(), root),
    ]
    python = str(HOME / "bin" / "python")
    names = ["-s", str(root), "-p", "/"]
    # Not checked against the source's time: that is the same for all files here.
    mode = ["--invalidation-mode", "unchecked-hash"]
    command = [python, "-m", "compileall", "-q", *mode, *names, *map(str, folders)]
    subprocess.run(command, check=True)


def set_times(root: Path, seconds: int) -> None:
    """Give everything one time."""
    for path in everything(root):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def main(root: Path) -> None:
    """Make the root; what it contains is listed last."""
    assemble(root)
    write_sbom(root, inside(_packages(), root))
    set_times(root, int(os.environ["SOURCE_DATE_EPOCH"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
