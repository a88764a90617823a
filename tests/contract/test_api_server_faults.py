"""Following an API server in trouble: reviews go on with what was known, and catch up later."""

import json
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from tests.contract.api_server import (
    Answer,
    ScriptedApiServer,
    bookmark,
    event,
    listing,
    namespace,
    poll,
    profile,
    refuse,
    status,
    stream,
)
from tests.contract.client import JSON_HEADERS
from tests.contract.followed import Followed, followed
from tests.contract.reviews import encoded

ARGO = namespace("argo", vci="true")
PLAIN = namespace("plain")
# What the cluster looks like after the trouble: argo has lost its label, gone is gone, new is new.
AFTER = listing("60", namespace("argo", "55"), namespace("new", "56", vci="true"))
TOO_LARGE = {
    **status(504, "Timeout"),
    "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]},
}
HANG_UP = Answer(without_head=True, then="cut")
SILENCE = Answer(without_head=True, then="silent")


def caught_up(pair: Followed) -> None:
    """Wait until the server knows what AFTER says, all of it."""
    poll(lambda: "new" in pair.server.state.snapshot.namespaces, "the new state")
    assert pair.team("new") == "batch"
    assert pair.team("argo") == ""
    assert pair.review("plain").status == 500
    assert pair.ready()


def test_a_watch_cut_in_the_middle_of_an_event(pair: Followed) -> None:
    """Half an event is none: the watch goes on from the version before it, without a list."""
    line = event("MODIFIED", namespace("plain", "20", vci="true"))
    half = stream(bookmark("15"), line[:40], then="cut")
    pair.api.script("namespaces watch", half, stream(line))
    pair.api.cut()
    pair.wait_for_team("plain", "batch")
    assert pair.api.last("namespaces watch").query["resourceVersion"] == "15"
    assert pair.api.count("namespaces list") == 1


@pytest.mark.parametrize(
    "line",
    [
        b"<html>not json</html>\n",
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff\xfe","resourceVersion":"20"}}}\n',
        b'{"type":"ADDED"}\n',
        b"\x00\x01\x02\n",
        event("MODIFIED", namespace("argo", "")),
        event("ERROR", status(500, "InternalError")),
    ],
    ids=["html", "not utf-8", "no object", "binary", "no version", "an error"],
)
def test_an_event_that_is_none(pair: Followed, line: bytes) -> None:
    """What is no event is not guessed at: in the worst case the list tells how things are."""
    pair.api.script("namespaces list", AFTER)
    pair.api.script("namespaces watch", stream(event("DELETED", namespace("plain", "57"))))
    pair.api.push("namespaces watch", line)
    if pair.metric("watch_failures_total", resource="namespaces", cause="unavailable") == 0:
        poll(lambda: pair.api.count("namespaces watch") > 1, "the next watch")
    if b"Internal" not in line:
        caught_up(pair)
    assert pair.ready()


@pytest.mark.parametrize(
    "expired",
    [
        refuse(410, "Expired"),
        Answer(410, (b"gone",)),
        stream(event("ERROR", status(410, "Expired")), then="end"),
        stream(event("ERROR", status(410, "Gone")), then="live"),
        Answer(504, (json.dumps(TOO_LARGE).encode(),)),
        stream(event("ERROR", TOO_LARGE), then="end"),
    ],
    ids=["410", "410 of a proxy", "Expired", "Gone", "too large", "too large in a stream"],
)
def test_a_version_that_is_of_no_use(pair: Followed, expired: Answer) -> None:
    """In whatever form it is said, a list follows, and what was deleted meanwhile is gone."""
    pair.api.script("namespaces list", AFTER)
    pair.api.script("namespaces watch", expired, stream())
    pair.api.cut()
    caught_up(pair)
    assert pair.metric("watch_failures_total", resource="namespaces", cause="expired") == 1
    assert pair.api.last("namespaces watch").query["resourceVersion"] == "60"


def test_a_list_that_expires_between_two_pages(api: ScriptedApiServer, tls_dir: Path) -> None:
    """It begins anew; pages of the first attempt are forgotten."""
    api.script(
        "namespaces list",
        listing("10", namespace("ghost", vci="true"), following="two"),
        refuse(410, "Expired"),
        listing("12", ARGO, following="zwei"),
        listing("12", PLAIN),
    )
    with followed(api, tls_dir) as pair:
        asked = [r.query.get("continue") for r in api.requests if r.kind == "namespaces list"]
        assert asked == [None, "two", None, "zwei"]
        assert set(pair.server.state.snapshot.namespaces) == {"argo", "plain"}


def test_a_list_that_is_cut_goes_on_with_the_page_that_is_missing(
    api: ScriptedApiServer, tls_dir: Path
) -> None:
    """A connection that broke is no reason to ask for ten thousand namespaces again."""
    api.script(
        "namespaces list", listing("10", ARGO, following="two"), HANG_UP, listing("10", PLAIN)
    )
    with followed(api, tls_dir) as pair:
        asked = [r.query.get("continue") for r in api.requests if r.kind == "namespaces list"]
        assert asked == [None, "two", "two"]
        assert set(pair.server.state.snapshot.namespaces) == {"argo", "plain"}


def test_too_many_requests(pair: Followed) -> None:
    """Retry-After is honoured: no request before, one soon after; reviews go on."""
    pair.api.script("namespaces watch", refuse(429, "TooManyRequests", Retry_After="1"), stream())
    pair.api.cut()
    poll(lambda: pair.api.count("namespaces watch") == 2, "a refusal")
    assert pair.team("argo") == "batch"
    poll(lambda: pair.api.count("namespaces watch") == 3, "the next watch")
    refused, again = [r for r in pair.api.requests if r.kind == "namespaces watch"][-2:]
    assert 1.0 <= again.at - refused.at < 2.5


@pytest.mark.parametrize(
    "failure",
    [refuse(500, "InternalError"), refuse(503, "ServiceUnavailable"), Answer(502, (b"<html>",))],
    ids=["500", "503", "502 of a proxy"],
)
def test_an_api_server_in_trouble(pair: Followed, failure: Answer) -> None:
    """It is asked less and less, never in a loop; reviews go on, and the watch when it can."""
    pair.api.script("namespaces watch", failure)
    pair.api.cut()
    poll(lambda: pair.metric("watch_up", resource="namespaces") == 0, "the failure")
    before = pair.api.count("namespaces watch")
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        assert pair.team("argo") == "batch"
    assert pair.api.count("namespaces watch") - before < 10
    assert pair.ready()
    assert pair.api.count("namespaces list") == 1
    pair.api.script(
        "namespaces watch", stream(event("MODIFIED", namespace("plain", "20", vci="true")))
    )
    pair.wait_for_team("plain", "batch")


def test_a_watch_that_ends_at_once(pair: Followed) -> None:
    """An API server that closes each watch as soon as opened is not asked in a loop."""
    pair.api.script("namespaces watch", stream(then="end"))
    pair.api.cut()
    poll(lambda: pair.api.count("namespaces watch") > 3, "some watches")
    before, started = pair.api.count("namespaces watch"), time.monotonic()
    poll(lambda: time.monotonic() - started > 2, "two seconds")
    assert pair.api.count("namespaces watch") - before < 20
    assert pair.team("argo") == "batch"


@pytest.mark.parametrize("kind", ["namespaces watch", "namespaces list"])
def test_a_connection_into_a_black_hole(pair: Followed, kind: str) -> None:
    """Who says nothing for longer than bookmarks are apart is left, and somebody else is asked."""
    pair.api.script(kind, SILENCE, AFTER if kind == "namespaces list" else stream())
    if kind == "namespaces list":
        pair.api.script("namespaces watch", refuse(410), stream())
    else:
        pair.api.script("namespaces list", AFTER)
        pair.api.script("namespaces watch", SILENCE, refuse(410), stream())
    pair.api.cut()
    assert pair.team("argo") == "batch"
    caught_up(pair)


def test_a_watch_that_falls_silent(pair: Followed, caplog: pytest.LogCaptureFixture) -> None:
    """A watch without bookmarks is given up, and another goes on: without a list, or an alarm."""
    caplog.set_level(logging.INFO)
    watches = pair.api.count("namespaces watch")
    poll(lambda: pair.api.count("namespaces watch") > watches + 1, "two more watches")
    assert pair.metric("watch_failures_total", resource="namespaces", cause="silent") >= 1
    assert pair.metric("watch_up", resource="namespaces") == 1
    assert pair.api.count("namespaces list") == 1
    assert not [record for record in caplog.records if "following" in record.getMessage()]


def test_a_slow_api_server(api: ScriptedApiServer, tls_dir: Path) -> None:
    """Slow answers are answers: the start takes longer, nothing else is different."""
    slow = listing("10", ARGO)
    api.script("namespaces list", Answer(pieces=slow.pieces, after_seconds=0.6))
    with followed(api, tls_dir) as pair:
        assert pair.team("argo") == "batch"
        assert pair.api.count("namespaces list") == 1


def test_an_api_server_that_goes_and_comes_back(
    pair: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is away reviews are answered and little is logged; 2 s later it is followed."""
    caplog.set_level(logging.INFO)
    pair.api.script("namespaces watch", refuse(410), stream())
    pair.api.script("namespaces list", AFTER)
    pair.api.down()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert pair.team("argo") == "batch"
        assert pair.ready()
    assert_quiet(caplog)
    assert pair.metric("watch_up", resource="namespaces") == 0
    pair.api.up()
    returned = time.monotonic()
    caught_up(pair)
    assert time.monotonic() - returned < 2
    assert pair.metric("watch_up", resource="namespaces") == 1


def assert_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Check that no cause was logged twice for one resource: a test takes less than ten seconds."""
    told = Counter(
        (
            record.getMessage(),
            *sorted(getattr(record, "fields", {}).get(k, "") for k in ("resource", "cause")),
        )
        for record in caplog.records
        if record.name == "webhook" and record.getMessage() != "reviewed"
    )
    assert all(count == 1 for count in told.values()), told


def test_a_certificate_that_is_not_to_be_trusted(
    pair: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    """An API server with a certificate of another CA is not asked, until the bundle has that CA."""
    caplog.set_level(logging.INFO)
    other = trustme.CA()
    pair.api.context = pair.api.certificate(other)
    pair.api.cut()
    poll(
        lambda: pair.metric("watch_failures_total", resource="namespaces", cause="untrusted") > 0,
        "no",
    )
    assert pair.team("argo") == "batch"
    assert any(record.levelno == logging.ERROR for record in caplog.records)
    pair.api.trust(pair.api.ca, other)
    watches = pair.api.count("namespaces watch")
    poll(lambda: pair.api.count("namespaces watch") > watches, "trust", seconds=15)


def test_a_new_certificate_of_the_same_ca(pair: Followed) -> None:
    """A renewed certificate is nothing to notice."""
    pair.api.context = pair.api.certificate(pair.api.ca)
    watches = pair.api.count("namespaces watch")
    pair.api.cut()
    poll(lambda: pair.api.count("namespaces watch") > watches, "the next watch")
    assert pair.metric("watch_failures_total", resource="namespaces", cause="untrusted") == 0


def test_a_token_that_has_expired(pair: Followed) -> None:
    """Refused, the token is read anew before the next request, whatever the clock says."""
    pair.api.script("namespaces watch", refuse(401, "Unauthorized"), stream())
    pair.api.write_token("second-token")
    pair.api.cut()
    poll(lambda: pair.api.count("namespaces watch") == 3, "the next watch")
    assert pair.team("argo") == "batch"
    assert pair.api.last("namespaces watch").headers["authorization"].endswith("second-token")
    assert pair.api.count("namespaces list") == 1


def test_a_token_that_is_gone_for_a_while(pair: Followed) -> None:
    """A file that cannot be read is tried again, like anything else that is refused."""
    token = pair.api.service_account / "token"
    pair.api.script("namespaces watch", refuse(401), stream())
    token.unlink()
    pair.api.cut()
    poll(
        lambda: pair.metric("watch_failures_total", resource="namespaces", cause="denied") > 1,
        "denials",
    )
    assert pair.team("argo") == "batch"
    pair.api.write_token("third-token")
    poll(lambda: pair.api.count("namespaces watch") == 3, "the next watch", seconds=15)


def test_rights_that_are_taken_away_and_given_back(
    pair: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    """Forbidden is an alarm, not an end: the last state stays, and following goes on by itself."""
    pair.api.script("namespaces watch", refuse(403, "Forbidden"))
    pair.api.cut()
    poll(
        lambda: pair.metric("watch_failures_total", resource="namespaces", cause="denied") > 1,
        "denials",
    )
    assert pair.team("argo") == "batch"
    assert pair.ready()
    told = [r for r in caplog.records if getattr(r, "fields", {}).get("cause") == "denied"]
    assert [record.levelno for record in told] == [logging.ERROR]
    pair.api.script("namespaces watch", stream())
    poll(lambda: pair.metric("watch_up", resource="namespaces") == 1, "the rights", seconds=15)


def test_events_twice_and_out_of_order(pair: Followed) -> None:
    """The same event again changes nothing; one from before the last is answered by a list."""
    labelled = event("MODIFIED", namespace("plain", "20", vci="true"))
    pair.api.push("namespaces watch", labelled, labelled)
    pair.wait_for_team("plain", "batch")
    assert pair.api.count("namespaces list") == 1
    pair.api.script("namespaces list", AFTER)
    pair.api.push("namespaces watch", event("MODIFIED", namespace("plain", "19")))
    caught_up(pair)


def test_events_of_a_kind_to_come(pair: Followed) -> None:
    """An event of a type that nobody knows yet is passed over."""
    pair.api.push("namespaces watch", event("NOVELTY", {"a": 1}))
    pair.api.push("namespaces watch", event("MODIFIED", namespace("plain", "20", vci="true")))
    pair.wait_for_team("plain", "batch")
    assert pair.api.count("namespaces watch") == 1


def test_a_line_without_an_end(pair: Followed) -> None:
    """A stream that never ends a line is left before it takes the memory."""
    pair.api.script("namespaces list", AFTER)
    piece = b"x" * 1_000_000
    for _ in range(20):
        pair.api.push("namespaces watch", piece)
    caught_up(pair)


def test_handshakes_that_are_never_answered(pair: Followed) -> None:
    """An API server that accepts connections and says nothing is left after seconds."""
    pair.api.context = ssl.SSLContext(
        ssl.PROTOCOL_TLS_SERVER
    )  # without a certificate: no handshake
    pair.api.cut()
    poll(lambda: pair.metric("watch_up", resource="namespaces") == 0, "the failure")
    assert pair.team("argo") == "batch"
    pair.api.context = pair.api.certificate(pair.api.ca)
    poll(lambda: pair.metric("watch_up", resource="namespaces") == 1, "the return", seconds=15)


# A review that names a namespace which the watch has not brought.


def found(name: str, version: str = "20", **labels: str) -> Answer:
    """Answer with a namespace."""
    return Answer(pieces=(json.dumps(namespace(name, version, **labels)).encode(),))


def together(ask: Callable[[], int], times: int) -> list[int]:
    """Ask so many times at once."""
    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(lambda _: ask(), range(times)))


def test_a_pod_right_after_its_namespace(pair: Followed) -> None:
    """A namespace that the watch has not brought is read, and from then on known."""
    pair.api.script("namespace get", found("fresh", vci="true"))
    assert pair.team("fresh") == "batch"
    assert pair.team("fresh") == "batch"
    assert pair.api.count("namespace get") == 1
    assert "as=PartialObjectMetadata;" in pair.api.last("namespace get").headers["accept"]


def test_the_watch_corrects_what_was_read(pair: Followed) -> None:
    """What the watch brings later goes before what was read."""
    pair.api.script("namespace get", found("fresh", vci="true"))
    assert pair.team("fresh") == "batch"
    pair.api.push("namespaces watch", event("ADDED", namespace("fresh", "20", vci="true")))
    pair.api.push("namespaces watch", event("MODIFIED", namespace("fresh", "21")))
    pair.wait_for_team("fresh", "")
    pair.api.push("namespaces watch", event("DELETED", namespace("fresh", "22")))
    pair.api.script("namespace get", refuse(404))
    poll(lambda: pair.review("fresh").status == 500, "the deletion")


def test_many_pods_of_a_new_namespace_are_one_request(pair: Followed) -> None:
    """Fifty reviews at once share one read."""
    answer = found("fresh", vci="true")
    pair.api.script("namespace get", Answer(pieces=answer.pieces, after_seconds=0.1))
    statuses = together(lambda: pair.review("fresh").status, 50)
    assert statuses == [200] * 50
    assert pair.api.count("namespace get") == 1


def test_a_namespace_that_is_not_there(pair: Followed) -> None:
    """It is a 500, in which the caller's failurePolicy decides; for a second nobody asks again."""
    started = time.monotonic()
    for _ in range(20):
        assert pair.review("nowhere").status == 500
    elapsed = time.monotonic() - started
    assert pair.api.count("namespace get") <= 1 + int(elapsed)
    poll(lambda: time.monotonic() - started > 1.1, "more than a second")
    pair.api.script("namespace get", found("nowhere", vci="true"))
    assert pair.team("nowhere") == "batch"


def test_a_read_that_takes_too_long(pair: Followed) -> None:
    """After half a second the review is answered, far within the time that its sender waits."""
    pair.api.script("namespace get", SILENCE)
    started = time.monotonic()
    response = pair.review("fresh")
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert time.monotonic() - started < 0.9
    assert pair.team("argo") == "batch"


def test_the_answer_comes_before_the_sender_gives_up(pair: Followed) -> None:
    """However short the timeout is, at most half of it goes into waiting for labels."""
    pair.api.script("namespace get", *[SILENCE] * 4)
    body = encoded(namespace="fresh")
    for query in ("?timeout=1s", "?timeout=nonsense", "", "?timeout=0s"):
        with pair.server.connect() as connection:
            started = time.monotonic()
            response = connection.request("POST", f"/mutate{query}", body, JSON_HEADERS)
            assert (response.status, response.headers["retry-after"]) == (503, "1")
            assert time.monotonic() - started < 0.9


def test_a_review_that_waits_keeps_nobody_waiting(pair: Followed) -> None:
    """While labels are read, other reviews are answered, also those that came later."""
    pair.api.script("namespace get", SILENCE)
    with pair.server.connect() as waiting, pair.server.connect() as other:
        body = encoded(namespace="fresh")
        waiting.send(waiting.head("POST", "/mutate?timeout=5s", JSON_HEADERS, body) + body)
        poll(lambda: pair.api.count("namespace get") == 1, "the read")
        assert other.post(encoded(namespace="argo")).status == 200
        waiting.socket.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            waiting.socket.recv(1)
        waiting.socket.settimeout(5)
        assert waiting.receive().status == 503
        assert waiting.post(encoded(namespace="argo")).status == 200


@pytest.mark.parametrize("failure", [refuse(500), refuse(403), HANG_UP, Answer(pieces=(b"{",))])
def test_a_read_that_fails(pair: Followed, failure: Answer) -> None:
    """Without the labels there is no decision; the API server is asked to ask again."""
    pair.api.script("namespace get", failure)
    response = pair.review("fresh")
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert pair.ready()


def test_invented_names_cannot_flood_the_api_server(
    pair: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    """Few reads at once, none for what cannot be a namespace, and one line in the log."""
    pair.api.script("namespace get", Answer(404, (b"{}",), after_seconds=0.1))
    names = iter([f"invented-{number}" for number in range(200)])
    with ThreadPoolExecutor(50) as threads:
        statuses = Counter(threads.map(lambda name: pair.review(name).status, names))
    assert statuses.keys() <= {500, 503}  # the latter when it was not asked in time
    for name in ("../configmaps", "A", "a" * 64, "a/b", "ä", " "):
        assert pair.review(name).status == 500
    paths = {request.path for request in pair.api.requests if request.kind == "namespace get"}
    assert all(path.startswith("/api/v1/namespaces/invented-") for path in paths)
    assert sum(record.getMessage() == "namespace unknown" for record in caplog.records) == 1


@pytest.mark.parametrize("failure", [refuse(503), HANG_UP])
def test_an_event_that_was_lost_is_written_again(pair: Followed, failure: Answer) -> None:
    """Whoever looks at the ConfigMap finds what is wrong, also after an API server in trouble."""
    pair.api.script("event post", failure, failure)
    broken = profile("11") | {"data": {"selectors": "{"}}
    pair.api.push("configmaps watch", event("MODIFIED", broken))
    poll(lambda: pair.api.count("event post") == 3, "the third attempt")
    assert {told["reason"] for told in pair.events()} == {"ProfileInvalid"}


def test_an_event_that_is_refused_is_not_written_again(pair: Followed) -> None:
    """Who may not write Events does not try for ever; the next version is told all the same."""
    pair.api.script("event post", refuse(403, "Forbidden"))
    broken = profile("11") | {"data": {"selectors": "{"}}
    pair.api.push("configmaps watch", event("MODIFIED", broken))
    poll(lambda: pair.api.count("event post") == 1, "the attempt")
    broken = profile("12") | {"data": {"selectors": "["}}
    pair.api.push("configmaps watch", event("MODIFIED", broken))
    poll(lambda: pair.api.count("event post") == 2, "the next one")
    assert [told["involvedObject"]["resourceVersion"] for told in pair.events()] == ["11", "12"]


def test_a_profile_is_taken_over_when_events_cannot_be_written(pair: Followed) -> None:
    """An Event is for people: that it is refused keeps nothing from acting."""
    pair.api.script("event post", refuse(403, "Forbidden"))
    broken = profile("11") | {"data": {"selectors": "{"}}
    pair.api.push("configmaps watch", event("MODIFIED", broken))
    poll(lambda: pair.api.count("event post") == 1, "the attempt")
    pair.api.push("configmaps watch", event("MODIFIED", profile("12", team="fixed")))
    pair.wait_for_team("argo", "fixed")
