"""How long the API server is left alone after a failure."""

import pytest

from webhook.backoff import FORGET_SECONDS, PACES, RETRY_AFTER_LIMIT, Backoff
from webhook.errors import Cause, ClusterError

LONGEST = 1.0  # the chance that gives the longest wait


def error(cause: Cause, retry_after_seconds: int = 0) -> ClusterError:
    return ClusterError("for a test", cause, retry_after_seconds=retry_after_seconds)


def pauses(cause: Cause, count: int, chance: float = LONGEST) -> list[float]:
    """Let an API server fail again and again, each time as soon as it is asked."""
    backoff, now, found = Backoff(), 0.0, []
    for _ in range(count):
        found.append(backoff.pause(error(cause), now, chance))
        now += found[-1]
    return found


def test_waiting_doubles_up_to_a_limit() -> None:
    """An API server in trouble is asked less and less, at last every half a minute."""
    assert pauses(Cause.UNAVAILABLE, 8) == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_one_that_is_away_is_asked_each_second() -> None:
    """Who is not there costs nothing to ask, and is followed within a second of the return."""
    assert max(pauses(Cause.UNREACHABLE, 1000)) == 1.0


def test_refused_credentials_are_tried_every_ten_seconds() -> None:
    """Rights that were given back are noticed within ten seconds."""
    assert max(pauses(Cause.DENIED, 100)) == 10.0


@pytest.mark.parametrize("cause", list(Cause))
def test_requests_in_ten_minutes_are_few(cause: Cause) -> None:
    """Ten minutes of failures are some hundred requests, or two a second to nobody."""
    asked = 0
    backoff, now = Backoff(), 0.0
    failing_seconds = 75 if cause is Cause.SILENT else 0
    while now < 600:
        now += failing_seconds + backoff.pause(error(cause), now, 0.5)
        asked += 1
    assert asked < (1300 if cause is Cause.UNREACHABLE else 140)


def test_the_wait_is_drawn_by_lot() -> None:
    """Replicas that failed together do not come back together: from nothing to the longest wait."""
    assert pauses(Cause.EXPIRED, 3, chance=0.0) == [0.0, 0.0, 0.0]
    assert pauses(Cause.EXPIRED, 3, chance=0.5) == [0.4, 0.8, 1.6]


def test_retry_after_is_honoured() -> None:
    """A wait that the API server asks for is a wait at least that long."""
    assert Backoff().pause(error(Cause.UNAVAILABLE, 7), 0.0, 0.0) == 7.0
    assert Backoff().pause(error(Cause.UNAVAILABLE, 7), 0.0, LONGEST) == 7.8


def test_retry_after_of_a_day_is_a_mistake() -> None:
    """No header keeps us from asking for longer than a minute."""
    assert Backoff().pause(error(Cause.UNAVAILABLE, 86400), 0.0, 0.0) == RETRY_AFTER_LIMIT


def test_causes_count_for_themselves() -> None:
    """After minutes of absence, a moment of "not ready" is a short wait."""
    backoff = Backoff()
    for _ in range(100):
        backoff.pause(error(Cause.UNREACHABLE), 0.0, LONGEST)
    assert backoff.pause(error(Cause.UNAVAILABLE), 0.0, LONGEST) == 0.8


def test_an_old_failure_is_forgotten() -> None:
    """After two minutes without a failure the first wait is short again."""
    backoff = Backoff()
    for _ in range(10):
        backoff.pause(error(Cause.UNAVAILABLE), 0.0, LONGEST)
    assert backoff.pause(error(Cause.UNAVAILABLE), FORGET_SECONDS, LONGEST) == 30.0
    assert backoff.pause(error(Cause.UNAVAILABLE), 2.1 * FORGET_SECONDS, LONGEST) == 0.8


def test_every_cause_has_its_pace() -> None:
    """There is no failure of which nobody has thought how long to wait."""
    assert PACES.keys() == set(Cause)
