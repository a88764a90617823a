"""``python -m certs issue`` as a person types it."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from certs.__main__ import main
from certs.issue import Pair
from tests.unit.tls_handshake import shake_hands


def test_a_first_run_writes_three_files_and_names_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pair is one that clients of the CA accept, and the key is its owner's alone."""
    folder = tmp_path / "a b"
    arguments = ["--dns", "a.svc", "B.svc", "--ip", "127.0.0.1", "--dns", "c.svc"]
    assert main(["issue", "--dir", str(folder), *arguments]) == 0
    output = capsys.readouterr()
    assert "for a.svc, b.svc, c.svc, 127.0.0.1, until " in output.out
    assert f"next: vci-webhook serve --tls-dir '{folder}' --profile " in output.out
    assert output.err == ""
    assert {path.name for path in folder.iterdir()} == {"ca.crt", "tls.crt", "tls.key"}
    assert stat.S_IMODE((folder / "tls.key").stat().st_mode) == 0o600
    serving = Pair((folder / "tls.crt").read_bytes(), (folder / "tls.key").read_bytes())
    assert b"PRIVATE" not in (folder / "ca.crt").read_bytes() + serving.certificate
    for name in ("a.svc", "b.svc", "c.svc", "127.0.0.1"):
        assert shake_hands(serving, (folder / "ca.crt").read_bytes(), name, tmp_path)


def test_a_second_run_needs_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What exists stays as it is until --force replaces all of it."""
    command = ["issue", "--dir", str(tmp_path), "--dns", "a.svc"]
    assert main(command) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(command) == 2
    assert capsys.readouterr().err == (
        f'python -m certs issue: --dir: "{tmp_path}/ca.crt" exists;'
        " choose another directory, or overwrite it with --force\n"
    )
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert main([*command, "--force"]) == 0
    assert all(path.read_bytes() != content for path, content in before.items())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dir", "{dir}"], "--dns and --ip: no name given; name the server as"),
        (["--dir", "{dir}", "--dns", "a_b"], '--dns: "a_b" is not a DNS name; give one as in'),
        (["--dir", "{dir}", "--dns", "::1"], '--dns: "::1" is an IP address; name it with --ip'),
        (["--dir", "{dir}", "--ip", "a.svc"], '--ip: "a.svc" is not an IP address; give one'),
        (["--dir", "", "--dns", "a"], "--dir: is empty; name a directory"),
        (["--dir", "/dev/null", "--dns", "a"], '--dir: "/dev/null" cannot be written'),
        (["--dns", "a"], "required: --dir; see python -m certs issue --help"),
        (["--dir", "{dir}", "--dns"], "--dns: expected at least one argument; see"),
        (["--dir", "{dir}", "--dns", "a", "--forc"], "unrecognized arguments: --forc; see"),
    ],
)
def test_unusable_input_is_one_line_that_names_the_flag(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    """Exit status 2, one line with flag and remedy on the error stream, and nothing written."""
    given = [text.replace("{dir}", str(tmp_path / "new")) for text in arguments]
    command = [sys.executable, "-m", "certs", "issue", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("python -m certs")
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []
