"""Copies what an image is made of into its root, by names: what nobody names is not in it."""

import os
import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple


class Tree(NamedTuple):
    """A folder of which all is wanted but for some names, and some paths below it."""

    folder: Path
    without: tuple[str, ...] = ()
    without_paths: str = "(?!)"

    def leaves_out(self, path: Path) -> bool:
        """Tell whether a file or folder below it stays behind."""
        below = path.relative_to(self.folder).as_posix()
        named = any(fnmatch(path.name, pattern) for pattern in ("__pycache__", *self.without))
        return named or bool(re.fullmatch(self.without_paths, below))


def copy_file(path: Path, root: Path) -> None:
    """Copy a file, and every symbolic link by which it is reached."""
    here = path.parent.resolve() / path.name
    there = inside(here, root)
    if os.path.lexists(there):
        return
    there.parent.mkdir(parents=True, exist_ok=True)
    if here.is_symlink():
        there.symlink_to(here.readlink())
        copy_file(here.parent / here.readlink(), root)
    else:
        shutil.copy(here, there)
        there.chmod(0o755 if here.stat().st_mode & 0o100 else 0o644)  # no setuid, nothing writable


def copy_tree(tree: Tree, root: Path) -> None:
    """Copy a folder; caches of compiled code never."""
    for top, folders, files in os.walk(tree.folder):
        folders[:] = sorted(name for name in folders if not tree.leaves_out(Path(top, name)))
        for name in sorted(files):
            if not tree.leaves_out(Path(top, name)):
                copy_file(Path(top, name), root)


def inside(path: Path, root: Path) -> Path:
    """Tell where a path of this system lies in the root."""
    return root / path.relative_to("/")


def everything(root: Path) -> Iterator[Path]:
    """Name every file, link and folder, the root first."""
    yield root
    yield from sorted(root.rglob("*"))
