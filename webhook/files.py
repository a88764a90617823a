"""Reads the files that settings name, so that whatever is wrong with one is a single clear line."""

from pathlib import Path

from webhook.errors import SettingsError

FILE_LIMIT = 64 * 1024 * 1024  # ten thousand namespaces as kubectl prints them are 6 MB


def read_file(path: Path, where: str) -> bytes:
    """Give a file's content; a pipe is fine, an endless one is not."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL byte
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"{where}: {path}: cannot be read: {reason.lower()}; name a readable file"
        ) from error
    if len(content) > FILE_LIMIT:
        raise SettingsError(
            f"{where}: {path}: larger than {FILE_LIMIT >> 20} MiB; leave out what is not needed"
        )
    return content
