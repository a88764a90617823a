"""One control plane for the whole session, in namespaces of its own where the kernel allows it."""

import itertools
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from tests.cluster import binaries, isolation
from tests.cluster.control_plane import Cluster, control_plane
from tests.cluster.helming import Helm, helming
from tests.cluster.needs import lack, need_namespaces
from tests.cluster.node.agent import Agent
from tests.cluster.node.running import running_node
from tests.cluster.workloads import create_namespace

LOGS = pytest.StashKey[Path]()
_numbers = itertools.count(1)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Build what is missing, then run the session inside; None lets it run here."""
    as_it_is = config.option.collectonly or config.option.help or config.option.usepdb
    if as_it_is or isolation.is_inside() or "PYTEST_XDIST_WORKER" in os.environ:
        isolation.settle_in()
        return None
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        try:
            binaries.locate(_say)
        except (binaries.UnavailableError, binaries.BuildError):
            return None  # the fixture says it, as the outcome of each test
        arguments = config.invocation_params.args
        return isolation.run_inside([sys.executable, "-m", "pytest", *map(str, arguments)])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have a failing test name the logs."""
    report = yield
    if report.failed and (logs := item.config.stash.get(LOGS, None)):
        report.sections.append(("control plane", f"logs of every program: {logs}"))
    return report


@pytest.fixture(scope="session")
def session_cluster(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Run the control plane; without its programs skip, or fail where CI needs the tests."""
    try:
        programs = binaries.locate(_say)
    except binaries.UnavailableError as error:
        lack(str(error))
    folder = tmp_path_factory.mktemp("control-plane") / "run"
    pytestconfig.stash[LOGS] = folder / "logs"
    with control_plane(folder, programs) as cluster:
        yield cluster
    rmtree(folder / "etcd")


@pytest.fixture
def cluster(session_cluster: Cluster) -> Iterator[Cluster]:
    """Lend the control plane to a test, which must leave it sound."""
    yield session_cluster
    assert not session_cluster.kubelet.failures
    assert not session_cluster.ended_programs()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """Make a namespace in which workflows can run, for one test."""
    name = f"test-{next(_numbers)}"
    create_namespace(cluster.admin, name)
    yield name
    cluster.admin.delete("Namespace", name)


@pytest.fixture(scope="module")
def helm(session_cluster: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helm]:
    """Have helm, and a cluster of its own, in which nothing of ours was ever installed."""
    assert session_cluster  # which skips or fails where there are no programs
    need_namespaces()
    with helming(tmp_path_factory.mktemp("chart") / "run", binaries.locate()) as made:
        yield made


@pytest.fixture(scope="session")
def session_node(session_cluster: Cluster) -> Iterator[Agent]:
    """Run a node whose Pods are real processes, which takes namespaces."""
    need_namespaces()
    with running_node(session_cluster.plane, session_cluster.admin, sync_seconds=2.0) as agent:
        yield agent


@pytest.fixture
def node(session_node: Agent) -> Iterator[Agent]:
    """Lend the node to a test, which must leave it without a failure."""
    yield session_node
    failures, session_node.failures[:] = list(session_node.failures), []
    assert not failures
