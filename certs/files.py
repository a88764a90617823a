"""Certificates and keys as files: whole or not at all, and a key is never readable by others."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from certs.errors import FileUnusableError, quoted


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be written, with the mode that it has from its first byte on."""

    path: Path
    content: bytes
    mode: int


def write_files(files: Sequence[NewFile], *, overwrite: bool) -> None:
    """Write all files, or none when one of them cannot be; make directories where missing."""
    for file in files:
        _refuse_existing(file.path, overwrite=overwrite)
    moves = [(_temporary(file.path), file) for file in files]
    try:
        for temporary, file in moves:
            _write(temporary, file)
        for temporary, file in moves:
            temporary.replace(file.path)
    except OSError as error:
        place = quoted(error.filename or files[0].path.parent)
        raise FileUnusableError(
            f"{place} cannot be written ({error.strerror}); choose another directory"
        ) from None
    finally:
        for temporary, _ in moves:
            _remove(temporary)


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise FileUnusableError(f"{quoted(path)} is a directory; choose another place")
    if not overwrite and os.path.lexists(path):
        raise FileUnusableError(
            f"{quoted(path)} exists; choose another directory, or overwrite it with --force"
        )


def _temporary(path: Path) -> Path:
    """Name a file in the same directory, so that a rename puts the whole content in place."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _write(path: Path, file: NewFile) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(file.content)
        stream.flush()
        os.fsync(descriptor)


def _remove(path: Path) -> None:
    if os.path.lexists(path):
        path.unlink()
