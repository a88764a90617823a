"""The programs that these tests run; they need no control plane."""

import sys
from pathlib import Path

import pytest

from tests.chart.rendering import Chart
from tests.cluster import binaries
from tests.cluster.needs import lack


@pytest.fixture(scope="session")
def programs(pytestconfig: pytest.Config) -> binaries.Binaries:
    """Find every program, and build what is missing where a person can see that it goes on."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():
            return binaries.locate(_say, binaries.FOR_THE_CHART)
    except (binaries.UnavailableError, binaries.BuildError) as error:
        lack(str(error))


@pytest.fixture(scope="session")
def chart(programs: binaries.Binaries, tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """Have the chart, and the helm that renders it."""
    return Chart(Path(programs["helm"]), tmp_path_factory.mktemp("helm"))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
