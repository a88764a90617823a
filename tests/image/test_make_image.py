"""``make image`` takes the engine that is there, and says so where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.image.__main__ import EARLIEST, ROOT, Build, version

COMMIT = Build("localhost/a:1", "1.2.3", "abc", 1_700_000_000, base="python:3.13-slim")


def engine(folder: Path, name: str, *, works: bool) -> None:
    """Put a program in place of an engine, which does nothing, or cannot even say who it is."""
    program = folder / name
    program.write_text(f"#!/bin/sh\nexit {0 if works else 1}\n", "utf-8")
    program.chmod(0o755)


def make_image(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run what ``make image`` runs, where nothing but these engines is found."""
    return subprocess.run(
        [sys.executable, "-m", "tools.image", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": str(folder), "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_whichever_is_there_is_taken(tmp_path: Path, name: str) -> None:
    """One engine is enough, whichever; the command is shown, with the version as tag."""
    engine(tmp_path, name, works=True)
    told = make_image(tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"{name} build ")
    assert f"--tag=vci-webhook:{version()} " in told.stdout


def test_a_client_without_its_daemon_is_passed_over(tmp_path: Path) -> None:
    """Of docker that cannot reach a daemon and podman that works, podman builds."""
    engine(tmp_path, "docker", works=False)
    engine(tmp_path, "podman", works=True)
    assert make_image(tmp_path).stdout.startswith("podman build ")


def test_where_there_is_none_it_says_what_to_do(tmp_path: Path) -> None:
    """One line names the three, and exit status 2."""
    told = make_image(tmp_path)
    assert told.returncode == 2
    assert told.stderr == (
        "image: there is no docker, podman or buildah that works here; install one, start its "
        "daemon, or name another one: make image ENGINE=…\n"
    )


def test_the_one_that_was_asked_for_is_taken_or_missed(tmp_path: Path) -> None:
    """ENGINE= is not silently replaced by another engine."""
    engine(tmp_path, "docker", works=True)
    told = make_image(tmp_path, "--engine=podman")
    assert told.returncode == 2
    assert "there is no podman that works here" in told.stderr


def test_a_failed_build_fails(tmp_path: Path) -> None:
    """The engine's own exit status is that of the command."""
    program = tmp_path / "buildah"
    program.write_text('#!/bin/sh\ntest "$1" = info || exit 7\n', "utf-8")
    program.chmod(0o755)
    assert make_image(tmp_path).returncode == 7


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_every_engine_is_told_the_time(name: str) -> None:
    """The time of the commit, in the label too, and the base, so that builds can be compared."""
    words = COMMIT.command([name])
    assert "--build-arg=SOURCE_DATE_EPOCH=1700000000" in words
    assert "--build-arg=CREATED=2023-11-14T22:13:20Z" in words
    assert "--build-arg=BASE=python:3.13-slim" in words
    clamped = ["--timestamp", "1700000000"]
    assert (words[2:4] == clamped) is (name != "docker")


def test_what_is_not_asked_for_is_left_to_the_dockerfile(tmp_path: Path) -> None:
    """Without BASE=, WHEELS=, PIP_CONF= and CA= nothing is said of them."""
    engine(tmp_path, "docker", works=True)
    told = make_image(tmp_path, "--base=", "--wheels=", "--pip-conf=", "--ca=")
    assert not any(word in told.stdout for word in ("BASE=", "wheels", "secret"))


def test_how_pip_gets_packages_is_told_in_secrets(tmp_path: Path) -> None:
    """A pip.conf and CAs are mounted for one command: they are no arguments, which images keep."""
    engine(tmp_path, "buildah", works=True)
    told = make_image(tmp_path, "--pip-conf=my.conf", "--ca=my.crt", "--wheels=there")
    words = told.stdout.split()
    assert {"--secret=id=pip,src=my.conf", "--secret=id=ca,src=my.crt"} <= set(words)
    assert "--build-context=wheels=there" in words
    assert not any("my." in word for word in words if word.startswith("--build-arg"))


def test_no_time_is_earlier_than_an_archive_can_tell(tmp_path: Path) -> None:
    """SOURCE_DATE_EPOCH=0 is taken as 1980, the first year that a wheel knows."""
    engine(tmp_path, "docker", works=True)
    told = subprocess.run(
        [sys.executable, "-m", "tools.image"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "SOURCE_DATE_EPOCH": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"SOURCE_DATE_EPOCH={EARLIEST} " in told.stdout
    assert f"ARG SOURCE_DATE_EPOCH={EARLIEST}\n" in (ROOT / "Dockerfile").read_text("utf-8")
