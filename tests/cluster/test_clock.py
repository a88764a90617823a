"""The clock of the webhook's node is set wrong while the webhook follows the cluster."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.control_plane import Cluster
from tests.cluster.following import LABEL, PROFILE, Following, following, grant_rights, profile
from tests.cluster.needs import lack
from tests.cluster.process import eventually
from tests.cluster.workloads import create_namespace

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
MISSING = "no libfaketime, which sets the clock of one process; install the package faketime"


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """A file that says how wrong the clock is."""
    if not LIBRARIES:
        lack(MISSING)
    path = tmp_path / "clock"
    path.write_text("+0", "ascii")
    return path


def faked(clock: Path) -> dict[str, str]:
    """Give the environment of a process whose clock goes as the file says."""
    return {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as on a node: only the wall clock is set
    }


@contextmanager
def followed_by(cluster: Cluster, clock: Path) -> Iterator[Following]:
    """Run a webhook whose clock goes as the file says."""
    grant_rights(cluster.admin)
    with following(cluster.plane, cluster.admin, environment=faked(clock)) as webhook:
        yield webhook


def newest(webhook: Following) -> dt.datetime:
    """Tell what time it is for the webhook, by its log."""
    return dt.datetime.fromisoformat(webhook.records()[-1]["time"])


@pytest.mark.parametrize("step", ["-1h", "+1h"])
def test_a_clock_that_is_set_wrong_changes_nothing(
    cluster: Cluster, clock: Path, step: str
) -> None:
    """An hour back or ahead, reviews go on, and a new profile and a new label act at once."""
    name = f"clock-{'back' if step.startswith('-') else 'ahead'}"
    create_namespace(cluster.admin, name, LABEL)
    try:
        cluster.admin.apply(profile("before"))
        with followed_by(cluster, clock) as webhook:
            eventually(lambda: webhook.marks(name) == ["before", "before"], "the profile", 5)
            was = newest(webhook)
            clock.write_text(step, "ascii")
            assert webhook.marks(name) == ["before", "before"]
            cluster.admin.apply(profile("after"))
            eventually(lambda: webhook.marks(name) == ["after", "after"], "the new profile", 5)
            cluster.admin.patch("Namespace", name, "", {"metadata": {"labels": {"vci": None}}})
            eventually(lambda: webhook.marks(name) == [], "the label's end", 5)
            assert webhook.is_ready()
            assert webhook.watches()
            moved = newest(webhook) - was
            assert abs(moved) > dt.timedelta(minutes=55), "the clock was not set"
    finally:
        cluster.admin.delete(*PROFILE)
        cluster.admin.delete("Namespace", name)
