"""What people are told about a version of the profile."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from webhook.activate import Version
from webhook.announce import MESSAGE_LIMIT, Allowance, event_of
from webhook.problems import Problem
from webhook.profile import Profile
from webhook.seldom import SELDOM_SECONDS, Seldom

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
BAD_RULE = Problem("error", "selectors[1]", "no name; give it one")
ODD_KEY = Problem("warning", "tlsEnabled", "unknown key")


def version(*problems: Problem, valid: bool = True, number: str = "7") -> Version:
    return Version(Profile() if valid else None, number, "uid-1", problems)


def event(told: Version, reporter: str = "webhook-a") -> dict[str, object]:
    return event_of(told, "kube-system", "vci-profile", reporter, NOW)


def test_reasons() -> None:
    """Invalid as a whole, with rules left out, or accepted: the reason says which."""
    reasons = {
        told["reason"]: told["type"]
        for told in map(
            event, (version(BAD_RULE, valid=False), version(BAD_RULE), version(ODD_KEY), version())
        )
    }
    assert reasons == {
        "ProfileInvalid": "Warning",
        "RulesInvalid": "Warning",
        "ProfileAccepted": "Normal",
    }


def test_errors_are_told_before_warnings() -> None:
    """What keeps a rule from acting stands first, where the message is never cut."""
    message = str(event(version(ODD_KEY, BAD_RULE))["message"])
    assert message.index("selectors[1]") < message.index("tlsEnabled")


def test_replicas_give_one_event_one_name() -> None:
    """The name depends on what is told and about which object, not on who tells it or when."""
    first, second = event(version(BAD_RULE)), event(version(BAD_RULE, number="8"), "webhook-b")
    assert first["metadata"] == second["metadata"]
    assert event(version(ODD_KEY))["metadata"] != first["metadata"]


@given(st.lists(st.text(max_size=200), max_size=40))
def test_messages_have_a_length_that_the_api_server_takes(texts: list[str]) -> None:
    """However many problems there are, and in whatever script, the message fits and is text."""
    told = str(event(version(*(Problem("error", "selectors", text) for text in texts)))["message"])
    assert len(told.encode(errors="surrogatepass")) <= MESSAGE_LIMIT


def test_an_allowance_is_some_at_once_and_then_few() -> None:
    """So many at once, then one in a while; what was saved up does not grow."""
    allowance = Allowance(burst=5, refill_seconds=10)
    assert [allowance.take(1000.0) for _ in range(7)] == [0, 0, 0, 0, 0, 10, 20]
    assert [allowance.take(5000.0) for _ in range(6)] == [0, 0, 0, 0, 0, 10]


def test_the_same_cause_is_logged_seldom() -> None:
    """Once in ten seconds, and each cause for itself."""
    now = 5.0
    seldom = Seldom(lambda: now)
    assert [seldom.allows("a"), seldom.allows("a"), seldom.allows("b")] == [True, False, True]
    now += SELDOM_SECONDS
    assert seldom.allows("a")
