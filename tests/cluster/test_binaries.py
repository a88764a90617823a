"""How the control plane's programs are found and built, with a go command that a test writes."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import binaries
from tests.cluster.binaries import ASSETS, BuildError, UnavailableError

REPOSITORY = Path(__file__).parents[2]
GO = """#!/bin/sh
case "$1" in
  env) echo {version} ;;
  list) echo {module} ;;
  build) {build} ;;
esac
"""
WRITE_OUTPUT = 'while [ "$1" != -o ]; do shift; done; echo program > "$2"'
GoCommand = Callable[..., None]


@pytest.fixture
def go_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoCommand:
    """Return what puts a go command in the path, before an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    module = tmp_path / "module"
    for asset in ASSETS:
        (module / asset.folder).mkdir(parents=True, exist_ok=True)

    def write(version: str = "go1.26.8", build: str = WRITE_OUTPUT) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        go = folder / "go"
        go.write_text(GO.format(version=version, module=module, build=build), "utf-8")
        go.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return write


@pytest.mark.parametrize("asset", [a for a in ASSETS if not a.folder], ids=lambda a: a.name)
def test_every_program_is_pinned(asset: binaries.Asset) -> None:
    """Each program that is built is a tool of its module's go.mod."""
    go_mod = (binaries.TOOLS / asset.module / "go.mod").read_text("utf-8")
    assert re.search(rf"^(tool )?\s*{re.escape(asset.package)}$", go_mod, re.MULTILINE)


def test_kubernetes_programs_know_their_version() -> None:
    """The version that go.mod pins is the one that the programs report."""
    assert "component-base/version.gitVersion=v1.37.2" in binaries.ldflags("kubernetes")
    assert "component-base/version.gitMinor=37" in binaries.ldflags("kubernetes")
    assert binaries.ldflags("etcd") == "-s -w"


def test_what_is_missing_is_built_once(go_command: GoCommand) -> None:
    """Each missing part is built, with a line for its start and its end; then nothing is left."""
    go_command()
    lines: list[str] = []
    built = binaries.locate(lines.append)
    assert all(path.exists() for path in built.values())
    count = len(ASSETS)
    assert f"[1/{count}] building etcd, {count - 1} left after it" in lines
    last = rf"\[{count}/{count}\] {ASSETS[-1].name}: \d+ s"
    assert any(re.fullmatch(last, line) for line in lines)
    again: list[str] = []
    assert binaries.locate(again.append) == built
    assert not again


def test_only_what_is_asked_for_is_built(go_command: GoCommand) -> None:
    """Who looks at the control plane does not wait for the tools of the chart's tests."""
    go_command()
    built = binaries.locate(lambda _: None, binaries.CONTROL_PLANE)
    assert "kubectl" in built
    assert "helm" not in built
    assert not list(binaries.cache().glob("helm-*"))


def test_a_change_of_go_sum_is_another_key(tmp_path: Path) -> None:
    """What go.mod and go.sum say decides where a build is kept."""
    tools = shutil.copytree(binaries.TOOLS, tmp_path / "tools")
    assert binaries.key("etcd", tools) == binaries.key("etcd")
    with (tools / "etcd" / "go.sum").open("a", encoding="utf-8") as file:
        file.write("example.com/module v1.0.0 h1:sum\n")
    assert binaries.key("etcd", tools) != binaries.key("etcd")
    assert binaries.key("argo", tools) == binaries.key("argo")


def test_a_failed_build_shows_what_go_said(go_command: GoCommand) -> None:
    """A build that fails says which command did, where, and the end of its output."""
    go_command(build="echo no space left on device >&2; exit 1")
    with pytest.raises(BuildError, match=r"(?s)go build .*etcd.*no space left on device"):
        binaries.locate(lambda _: None)
    assert not any(path.is_file() for path in binaries.cache().glob("*/*"))


def test_an_old_go_is_named(go_command: GoCommand) -> None:
    """A go command that is too old is named, with the version that is needed."""
    go_command(version="go1.25.1")
    with pytest.raises(UnavailableError, match=r'bin/go" is go1.25.1; install Go >= 1.26'):
        binaries.locate(lambda _: None)


def test_kubebuilder_assets_go_first(
    go_command: GoCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in KUBEBUILDER_ASSETS is used; what the folder lacks comes from the cache."""
    go_command()
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "etcd").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    located = binaries.locate(lambda _: None)
    assert located["etcd"] == assets / "etcd"
    assert located["kubectl"].is_relative_to(binaries.cache())


def run_without_programs(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a control-plane test where there is neither a cache nor a go command."""
    test = "tests/cluster/test_workloads.py::test_a_bare_pod_is_placed"
    kept = {key: value for key, value in os.environ.items() if key not in ("CI", "PATH")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        cwd=REPOSITORY,
        env={**kept, "XDG_CACHE_HOME": str(tmp_path), "PATH": "/nowhere", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_programs_tests_are_skipped(tmp_path: Path) -> None:
    """Without programs and without Go the tests are skipped, and a line says what is missing."""
    done = run_without_programs(tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r"SKIPPED .*there is no go command; install Go >= 1.26", done.stdout)


def test_without_programs_tests_fail_in_ci(tmp_path: Path) -> None:
    """With CI=true the same is a failure: CI needs these tests."""
    done = run_without_programs(tmp_path, CI="true")
    assert done.returncode == 1, done.stdout
    assert "there is no go command; install Go >= 1.26" in done.stdout
