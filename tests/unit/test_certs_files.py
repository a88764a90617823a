"""Files are written whole or not at all, and a key is never readable by others."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.errors import FileUnusableError
from certs.files import NewFile, write_files


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """The most careless umask, so that only the mode asked for protects a file."""
    before = os.umask(0)
    yield
    os.umask(before)


def pair(folder: Path) -> list[NewFile]:
    return [NewFile(folder / "tls.key", b"key", 0o600), NewFile(folder / "tls.crt", b"crt", 0o644)]


def test_files_are_written_with_their_modes(tmp_path: Path) -> None:
    """Content and mode are as asked, directories are made, and nothing else is left."""
    folder = tmp_path / "new" / "deep"
    write_files(pair(folder), overwrite=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "tls.key": b"key",
        "tls.crt": b"crt",
    }
    assert (folder / "tls.key").stat().st_mode & 0o777 == 0o600
    assert (folder / "tls.crt").stat().st_mode & 0o777 == 0o644


def test_one_existing_file_stops_all(tmp_path: Path) -> None:
    """A file that exists is kept, and so nothing is written at all."""
    (tmp_path / "tls.crt").write_bytes(b"old")
    with pytest.raises(FileUnusableError, match=r'tls.crt" exists; choose another .* --force'):
        write_files(pair(tmp_path), overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["tls.crt"]
    assert (tmp_path / "tls.crt").read_bytes() == b"old"


def test_a_link_to_nowhere_counts_as_existing(tmp_path: Path) -> None:
    """Somebody put the link there; following it would write where nobody looks."""
    (tmp_path / "tls.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileUnusableError, match="exists"):
        write_files(pair(tmp_path), overwrite=False)


def test_overwriting_replaces_content_and_mode(tmp_path: Path) -> None:
    """An old file that everybody could read does not lend its mode to a new key."""
    (tmp_path / "tls.key").write_bytes(b"old")
    (tmp_path / "tls.key").chmod(0o666)
    write_files(pair(tmp_path), overwrite=True)
    assert (tmp_path / "tls.key").read_bytes() == b"key"
    assert (tmp_path / "tls.key").stat().st_mode & 0o777 == 0o600


def test_a_directory_in_the_place_of_a_file_stops_all(tmp_path: Path) -> None:
    """A directory is never replaced, not even when overwriting."""
    (tmp_path / "tls.crt").mkdir()
    with pytest.raises(FileUnusableError, match="is a directory"):
        write_files(pair(tmp_path), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["tls.crt"]


def test_what_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    """A directory that cannot be made is named with the system's reason."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileUnusableError) as refusal:
        write_files(pair(tmp_path / "file" / "below"), overwrite=False)
    assert "cannot be written (Not a directory); choose another directory" in str(refusal.value)


def test_nothing_is_left_when_one_file_cannot_be_written(tmp_path: Path) -> None:
    """The first file is taken back when the second fails."""
    (tmp_path / "file").write_bytes(b"")
    files = [NewFile(tmp_path / "a", b"a", 0o600), NewFile(tmp_path / "file" / "b", b"b", 0o600)]
    with pytest.raises(FileUnusableError):
        write_files(files, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
