"""Writes a volume's files as the kubelet does: all of them change at once, by one rename.

``tls.crt`` is a link to ``..data/tls.crt``, and ``..data`` a link to a folder named after the time.
A change writes a new folder and renames a new ``..data`` over the old one, so a reader of a single
path never sees half a file, but one that opens two files can see one of each version.
"""

import base64
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from tests.cluster.client import Object

DATA = "..data"
NEW_DATA = "..data_tmp"
DEFAULT_MODE = 0o644


@dataclass(frozen=True, slots=True)
class File:
    """What one path of a volume holds."""

    content: bytes
    mode: int = DEFAULT_MODE


Files = Mapping[str, File]


def write_directory(directory: Path, files: Files) -> bool:
    """Bring a volume's directory to these files, and tell whether anything changed."""
    directory.mkdir(parents=True, exist_ok=True)
    if _holds(directory, files):
        return False
    current = directory / DATA
    previous = current.readlink() if current.is_symlink() else None
    folder = _write_folder(directory, files)
    (directory / NEW_DATA).symlink_to(folder.name)
    (directory / NEW_DATA).rename(current)
    _link_names(directory, files)
    if previous is not None:
        shutil.rmtree(directory / previous)
    return True


def _holds(directory: Path, files: Files) -> bool:
    """Tell whether the directory has exactly these files, with these contents and modes."""
    data = directory / DATA
    if not data.is_symlink():
        return False
    there = {
        str(path.relative_to(data)): File(path.read_bytes(), path.stat().st_mode & 0o777)
        for path in data.rglob("*")
        if path.is_file()
    }
    return there == dict(files)


def _write_folder(directory: Path, files: Files) -> Path:
    """Write the files into a new folder that nobody looks into yet."""
    prefix = time.strftime("..%Y_%m_%d_%H_%M_%S.", time.gmtime())
    folder = Path(mkdtemp(prefix=prefix, dir=directory))
    folder.chmod(0o755)
    for name, file in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    return folder


def _link_names(directory: Path, files: Files) -> None:
    """Make a link for each new name, and remove those of names that are gone."""
    wanted = {Path(name).parts[0] for name in files}
    there = {path.name for path in directory.iterdir() if not path.name.startswith("..")}
    for name in wanted - there:
        (directory / name).symlink_to(f"{DATA}/{name}")
    for name in there - wanted:
        (directory / name).unlink()


def object_files(
    source: Object, items: Iterable[Object] = (), mode: int | None = None
) -> dict[str, File]:
    """Give the files of a Secret or a ConfigMap, of all its keys or of a volume's ``items``."""
    default = DEFAULT_MODE if mode is None else mode
    contents = _contents(source)
    chosen = list(items) or [{"key": key, "path": key} for key in contents]
    return {item["path"]: File(contents[item["key"]], item.get("mode", default)) for item in chosen}


def _contents(source: Object) -> dict[str, bytes]:
    encoded = "binaryData" if source["kind"] == "ConfigMap" else "data"
    binary = {key: base64.b64decode(v) for key, v in (source.get(encoded) or {}).items()}
    if source["kind"] != "ConfigMap":
        return binary
    return binary | {key: text.encode() for key, text in (source.get("data") or {}).items()}
