"""Reads files that a person named, so that whatever is wrong with one is a single clear line."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from webhook.errors import SettingsError

FILE_LIMIT = 64 * 1024 * 1024  # ten thousand namespaces as kubectl prints them are 6 MB


def read_file(path: Path, where: str) -> bytes:
    """Give the content of the file that the setting ``where`` names."""
    return _read(lambda: path.open("rb"), f"{where}: {path}")


def read_argument(name: str) -> bytes:
    """Give the content of a file named on the command line; ``-`` is standard input."""
    if name == "-":
        return _read(lambda: nullcontext(_standard_input()), "standard input")
    return _read(lambda: Path(name).open("rb"), name)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:  # as after <&-
        raise ValueError("it is closed")
    return sys.stdin.buffer


def _read(open_file: Callable[[], AbstractContextManager[BinaryIO]], where: str) -> bytes:
    """Give a file's content; a pipe is fine, an endless one is not."""
    try:
        with open_file() as file:
            content = file.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL byte
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"{where}: cannot be read: {reason.lower()}; name a readable file"
        ) from error
    if len(content) > FILE_LIMIT:
        raise SettingsError(
            f"{where}: larger than {FILE_LIMIT >> 20} MiB; leave out what is not needed"
        )
    return content
