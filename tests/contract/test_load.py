"""What `make bench` measures with works: a figure of a broken client looks like any other."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.load import layers, rates, scale
from tests.load.client import Load, Newcomers
from tests.load.contenders import BARE, WEBHOOK, Server, ask, changes_of, issue, servers
from tests.load.reviews import first, of_new_shape, recorded, requests_of

SECONDS = 0.05
BODY = recorded("agent")


@pytest.fixture(scope="module")
def tls_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue(tmp_path_factory.mktemp("load"))


@pytest.fixture(scope="module")
def started(tls_dir: Path) -> Iterator[list[Server]]:
    with servers(tls_dir, BODY, {}, core=None) as those:
        yield those


def test_the_bare_application_answers_as_many_bytes(started: list[Server], tls_dir: Path) -> None:
    """Both servers send as much, so that only what they do before is compared."""
    sizes = {each.name: len(ask(each, tls_dir, BODY)) for each in started}
    assert sizes[BARE] == sizes[WEBHOOK] > 1000


def test_each_request_is_another(started: list[Server]) -> None:
    """No two requests are equal, and each is a review of the same length."""
    requests = requests_of(BODY, started[0].port)
    one, other = next(requests), next(requests)
    assert one != other
    assert len(one) == len(other)


@pytest.mark.parametrize("body", [BODY, of_new_shape(BODY)], ids=["known", "new"])
def test_a_busy_server_is_measured(started: list[Server], tls_dir: Path, body: bytes) -> None:
    """A server under load answers every request, and uses processor time for it."""
    for server in started:
        load = Load(server.port, tls_dir / "ca.crt", 4)
        sample = rates.keep_busy(server, partial(load.run, body, SECONDS))
        load.close()
        assert sample.per_second > 0
        assert 0 < sample.cpu_microseconds < 100_000


@pytest.mark.parametrize("resume", [False, True], ids=["full", "resumed"])
def test_new_connections_are_measured(started: list[Server], *, resume: bool) -> None:
    """Each review comes on a connection of its own; sessions are resumed if that is asked for."""
    for server in started:
        answers, _, resumed = Newcomers(server.port, 2).run(BODY, 4 * SECONDS, resume=resume)
        assert answers > 0
        assert resumed == 0 or resume


def test_a_new_shape_is_one_more_thing_to_change(started: list[Server], tls_dir: Path) -> None:
    """A Pod with a node selector of its own gets the same changes as the recorded one."""
    webhook = next(each for each in started if each.name == WEBHOOK)
    body = of_new_shape(BODY)
    assert changes_of(body, ask(webhook, tls_dir, body)) == changes_of(
        BODY, ask(webhook, tls_dir, BODY)
    )


def test_memory_and_time_of_a_process_can_be_read(started: list[Server]) -> None:
    """Resident memory and processor time are those of the server, in megabytes and seconds."""
    for server in started:
        assert 10 < server.resident_mb() < 500
        assert 0.05 < server.cpu_seconds() < 60


def test_the_decision_is_measured_alone() -> None:
    """The core takes microseconds for a review, with few rules and with many."""
    assert 1 < layers.review_microseconds(first(BODY), rounds=1) < 10_000
    (measured,) = scale.measure(rounds=1, reviews=20)
    assert measured.keys() == scale.SITUATIONS.keys()
