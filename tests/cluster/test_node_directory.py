"""A volume's directory changes as a kubelet's does."""

import base64
import threading
from pathlib import Path

import pytest

from tests.cluster.node.directory import File, object_files, write_directory


def files(**contents: str) -> dict[str, File]:
    return {name.replace("_", "."): File(text.encode()) for name, text in contents.items()}


def test_names_are_links_into_one_folder(tmp_path: Path) -> None:
    """A name is a link by way of ``..data``, which is a link to a folder named after the time."""
    assert write_directory(tmp_path, files(tls_crt="certificate", tls_key="key"))
    assert (tmp_path / "tls.crt").readlink() == Path("..data/tls.crt")
    assert (tmp_path / "..data").readlink().name.startswith("..20")
    assert (tmp_path / "tls.key").read_text("utf-8") == "key"


def test_a_change_replaces_the_folder(tmp_path: Path) -> None:
    """After a change there is one folder again, with the new contents, names and modes."""
    write_directory(tmp_path, files(tls_crt="old", gone="x"))
    before = (tmp_path / "..data").readlink()
    assert write_directory(tmp_path, {"tls.crt": File(b"new", 0o400)})
    after = (tmp_path / "..data").readlink()
    assert {path.name for path in tmp_path.iterdir()} == {"tls.crt", "..data", after.name}
    assert after != before
    assert (tmp_path / "tls.crt").read_text("utf-8") == "new"
    assert (tmp_path / "tls.crt").stat().st_mode & 0o777 == 0o400


def test_without_a_change_nothing_moves(tmp_path: Path) -> None:
    """The same files again leave the very folder where it is."""
    write_directory(tmp_path, files(tls_crt="same"))
    before = (tmp_path / "..data").readlink()
    assert not write_directory(tmp_path, files(tls_crt="same"))
    assert (tmp_path / "..data").readlink() == before


def test_a_path_below_a_folder_has_a_link_for_the_folder(tmp_path: Path) -> None:
    """A path with a slash makes a folder in the data, and the link is the folder's."""
    write_directory(tmp_path, {"a/b": File(b"deep")})
    assert (tmp_path / "a").readlink() == Path("..data/a")
    assert (tmp_path / "a" / "b").read_bytes() == b"deep"


def test_a_reader_of_a_version_never_sees_a_mixture(tmp_path: Path) -> None:
    """Whoever resolves ``..data`` once reads both files of one version, or finds it gone."""
    write_directory(tmp_path, files(tls_crt="0", tls_key="0"))
    stop = threading.Event()
    mixed: list[tuple[str, str]] = []

    def read() -> None:
        while not stop.is_set():
            folder = tmp_path / (tmp_path / "..data").readlink()
            try:
                pair = (folder / "tls.crt").read_text(), (folder / "tls.key").read_text()
            except FileNotFoundError:
                continue
            if pair[0] != pair[1]:
                mixed.append(pair)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        write_directory(tmp_path, files(tls_crt=f"{number}", tls_key=f"{number}"))
    stop.set()
    reader.join()
    assert not mixed


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_objects_become_files(kind: str) -> None:
    """A Secret's data is decoded, a ConfigMap's is text or binary; modes are the volume's."""
    encoded = base64.b64encode(b"\xff").decode()
    data = {"data": {"key": encoded}}
    if kind == "ConfigMap":
        data = {"data": {"text": "plain"}, "binaryData": {"key": encoded}}
    made = object_files({"kind": kind, **data}, [{"key": "key", "path": "p", "mode": 0o440}])
    assert made == {"p": File(b"\xff", 0o440)}
    every = object_files({"kind": kind, **data}, mode=0o400)
    assert every["key"] == File(b"\xff", 0o400)
    assert (every.get("text") == File(b"plain", 0o400)) == (kind == "ConfigMap")
