"""List and watch as a state machine: fed with bytes, asked for requests."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.errors import Cause, ClusterError
from webhook.namespaces import NamespaceLabels
from webhook.watch import (
    Changed,
    Deleted,
    Lines,
    Page,
    Reflector,
    Resource,
    is_older,
    read_object,
    refusal,
)

NAMESPACES = Resource("namespaces", "/api/v1/namespaces", metadata_only=True)
PROFILE = Resource("configmaps", "/api/v1/namespaces/kube-system/configmaps", "vci-profile")


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def item(name: str, version: str, **labels: str) -> dict[str, Any]:
    managed = [{"manager": "kubectl", "fieldsV1": {"f:metadata": {"f:labels": {}}}}]
    metadata = {"name": name, "resourceVersion": version, "managedFields": managed}
    return {"metadata": metadata | ({"labels": labels} if labels else {})}


def page(version: str, *items: dict[str, Any], following: str = "") -> bytes:
    metadata = {"resourceVersion": version, "continue": following}
    return encode({"metadata": metadata, "items": items})


def event(kind: str, what: dict[str, Any]) -> bytes:
    return encode({"type": kind, "object": what})


def bookmark(version: str) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": version}})


def status(code: int, reason: str, message: str = "", **details: Any) -> dict[str, Any]:
    return {
        "kind": "Status",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


def watching(version: str = "10") -> Reflector:
    """Give a reflector that has listed and watches from a version on."""
    reflector = Reflector(NAMESPACES)
    reflector.take_page(page(version, item("a", "1")))
    return reflector


def query(reflector: Reflector) -> dict[str, str]:
    return dict(reflector.request(300).query)


def error_of(reflector: Reflector, line: bytes) -> ClusterError:
    with pytest.raises(ClusterError) as caught:
        reflector.take_line(line)
    return caught.value


def test_a_list_comes_first_and_in_pages() -> None:
    """Without a version the list is asked for, from its newest state, page by page."""
    reflector = Reflector(NAMESPACES, page_size=2)
    assert query(reflector) == {"limit": "2", "timeoutSeconds": "30"}
    first = reflector.take_page(page("7", item("a", "1"), item("b", "2"), following="more"))
    assert (first.first, first.last) == (True, False)
    assert query(reflector)["continue"] == "more"
    last = reflector.take_page(page("7", item("c", "3")))
    assert (last.first, last.last) == (False, True)
    assert [found.metadata.name for found in last.objects] == ["c"]


def test_the_watch_begins_where_the_list_ends() -> None:
    """After the last page the watch is asked for, with bookmarks and an end of its own."""
    request = watching("7").request(321)
    assert request.watch
    assert dict(request.query) == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "321",
    }


def test_only_metadata_of_namespaces_is_asked_for() -> None:
    """Of namespaces the API server sends metadata, in the form of the list or of the object."""
    reflector = Reflector(NAMESPACES)
    assert "as=PartialObjectMetadataList;" in reflector.request(300).accept
    reflector.take_page(page("7"))
    assert "as=PartialObjectMetadata;" in reflector.request(300).accept


def test_the_profile_is_asked_for_by_its_name() -> None:
    """List and watch name the one ConfigMap, as the rights for it demand."""
    reflector = Reflector(PROFILE)
    assert query(reflector)["fieldSelector"] == "metadata.name=vci-profile"
    assert reflector.request(300).accept == "application/json"
    reflector.take_page(page("7"))
    assert query(reflector)["fieldSelector"] == "metadata.name=vci-profile"


def test_null_items_are_none() -> None:
    """A list of nothing may have null for its items."""
    reflector = Reflector(NAMESPACES)
    listed = reflector.take_page(b'{"metadata":{"resourceVersion":"7"},"items":null}')
    assert listed == Page((), first=True, last=True)


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED"])
def test_an_object_that_is_new_or_different_is_a_change(kind: str) -> None:
    """Added or modified, it is what we know from then on."""
    change = watching().take_line(event(kind, item("b", "11", vci="true")))
    assert isinstance(change, Changed)
    assert change.object.metadata.labels == {"vci": "true"}


def test_a_deleted_object_is_named() -> None:
    """A deletion names what is gone."""
    change = watching().take_line(event("DELETED", item("a", "11")))
    assert isinstance(change, Deleted)
    assert change.object.metadata.name == "a"


@pytest.mark.parametrize(
    "line",
    [
        bookmark("42"),
        event("ADDED", item("b", "42")),
        event("MODIFIED", item("a", "42")),
        event("DELETED", item("a", "42")),
    ],
)
def test_every_event_moves_the_version(line: bytes) -> None:
    """A watch that ended goes on after the last event, also when that was a bookmark."""
    reflector = watching()
    reflector.take_line(line)
    assert query(reflector)["resourceVersion"] == "42"


def test_an_event_of_a_kind_to_come_changes_nothing() -> None:
    """An event of an unknown type is passed over."""
    reflector = watching("10")
    assert reflector.take_line(event("SOMETHING", {"new": True})) is None
    assert reflector.version == "10"


def test_an_event_twice_is_the_same_change_twice() -> None:
    """The same event again is taken as it is: it says nothing wrong."""
    reflector = watching()
    line = event("MODIFIED", item("a", "11", x="y"))
    assert reflector.take_line(line) == reflector.take_line(line)


@pytest.mark.parametrize(
    "line",
    [
        event("MODIFIED", item("a", "9")),
        bookmark("9"),
        event("MODIFIED", item("a", "")),
        b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}',
        b'{"type":"ADDED","object":{"kind":"Namespace"}}',
        b'{"type":"BOOKMARK","object":{}}',
        b'{"type":"ADDED"}',
        b"not json",
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"11"',
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff","resourceVersion":"11"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"11","labels":[]}}}',
        b"[" * 100_000,
    ],
    ids=repr,
)
def test_what_the_protocol_does_not_know_is_no_event(line: bytes) -> None:
    """A watch that goes back, or sends what is no event, is not to be gone on with."""
    assert error_of(watching("10"), line).cause is Cause.GARBLED


def test_versions_that_are_no_numbers_are_taken_as_they_come() -> None:
    """Of versions that are not numbers nobody knows an order."""
    reflector = watching("b7")
    reflector.take_line(bookmark("a3"))
    assert reflector.version == "a3"


@pytest.mark.parametrize(
    ("version", "other", "older"),
    [("9", "10", True), ("10", "9", False), ("9", "9", False), ("a", "b", False), ("", "1", False)],
)
def test_older_versions(version: str, other: str, older: bool) -> None:  # noqa: FBT001 - a case
    """Versions compare as numbers, where they are."""
    assert is_older(version, other) is older


TOO_LARGE = status(504, "Timeout", "Too large resource version: 9", causes=[
    {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"},
])  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [status(410, "Expired", "too old"), status(410, "Gone"), status(0, "Expired"), TOO_LARGE],
    ids=lambda told: str(told["reason"]),
)
def test_expired_inside_a_stream(told: dict[str, Any]) -> None:
    """An ERROR event that says that our version is of no use ends in a list."""
    assert error_of(watching(), event("ERROR", told)).cause is Cause.EXPIRED


@pytest.mark.parametrize(
    ("http_status", "told"),
    [(410, status(410, "Expired")), (410, {}), (504, TOO_LARGE)],
)
def test_expired_as_an_answer(http_status: int, told: dict[str, Any]) -> None:
    """So does an answer with status 410, whatever its body, and one that says "too large"."""
    assert refusal(http_status, "", encode(told)).cause is Cause.EXPIRED


def test_an_error_event_of_another_kind() -> None:
    """An ERROR event about anything else is trouble at the API server."""
    told = status(500, "InternalError", "etcdserver: request timed out")
    error = error_of(watching(), event("ERROR", told))
    assert error.cause is Cause.UNAVAILABLE
    assert str(error) == "500 etcdserver: request timed out"


@pytest.mark.parametrize(
    ("http_status", "cause"),
    [
        (401, Cause.DENIED),
        (403, Cause.DENIED),
        (404, Cause.UNAVAILABLE),
        (429, Cause.UNAVAILABLE),
        (500, Cause.UNAVAILABLE),
        (503, Cause.UNAVAILABLE),
        (504, Cause.UNAVAILABLE),
    ],
)
def test_refusals(http_status: int, cause: Cause) -> None:
    """What an HTTP status means for whoever follows."""
    assert refusal(http_status, "", b"<html>a proxy's page</html>").cause is cause


def test_a_refusal_may_say_when_to_come_back() -> None:
    """Retry-After is taken from the header, else from the Status."""
    assert refusal(429, "7", b"").retry_after_seconds == 7
    told = status(429, "TooManyRequests", "", retryAfterSeconds=3)
    assert refusal(429, "", encode(told)).retry_after_seconds == 3
    assert refusal(429, "Wed, 21 Oct 2026 07:28:00 GMT", b"").retry_after_seconds == 0


def test_a_refusal_is_told_in_bounded_words() -> None:
    """A message of the API server's is shown, but not for pages."""
    error = refusal(403, "", encode(status(403, "Forbidden", "x" * 10_000)))
    assert str(error).startswith("403 xxx")
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"[]", encode(status(200, "Success")), b'{"metadata":{"resource'],
)
def test_what_is_no_list(body: bytes) -> None:
    """A success that holds no list is nothing to go on with."""
    with pytest.raises(ClusterError) as caught:
        Reflector(NAMESPACES).take_page(body)
    assert caught.value.cause is Cause.GARBLED


def test_starting_over_begins_with_the_first_page() -> None:
    """After an expired page the list begins anew, and says so."""
    reflector = Reflector(NAMESPACES)
    reflector.take_page(page("7", item("a", "1"), following="more"))
    reflector.start_over()
    assert "continue" not in query(reflector)
    assert reflector.take_page(page("9", item("a", "1"))).first


def test_one_object() -> None:
    """A single object is read by itself."""
    found = read_object(encode(item("a", "3", vci="true")))
    assert (found.metadata.name, found.metadata.labels) == ("a", {"vci": "true"})
    with pytest.raises(ClusterError):
        read_object(b"{}")


@given(
    lines=st.lists(st.binary(max_size=50).map(lambda line: line.replace(b"\n", b"")), max_size=20),
    cuts=st.lists(st.integers(0, 1200), max_size=20),
    rest=st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")),
)
def test_lines_do_not_depend_on_how_they_were_cut(
    lines: list[bytes], cuts: list[int], rest: bytes
) -> None:
    """However a stream is cut into pieces, the same lines come out, and half a line never does."""
    stream = b"".join(line + b"\n" for line in lines) + rest
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assembled = Lines()
    found = [
        line
        for begin, end in itertools.pairwise(bounds)
        for line in assembled.feed(stream[begin:end])
    ]
    assert found == [line for line in lines if line.strip()]


def test_a_line_without_end_is_given_up() -> None:
    """A line longer than any object is no event."""
    lines = Lines(limit=1000)
    assert list(lines.feed(b"x" * 900)) == []
    with pytest.raises(ClusterError):
        list(lines.feed(b"x" * 200))


class Cluster:
    """Namespaces and their history, and a connection to them that is not to be relied on."""

    def __init__(self) -> None:
        self.version = 1
        self.truth: dict[str, str] = {}
        self.history: list[tuple[int, bytes]] = []

    def change(self, name: str, label: str | None) -> None:
        """Set a namespace's label, or delete the namespace."""
        kind = "DELETED" if label is None else "MODIFIED" if name in self.truth else "ADDED"
        if label is None and self.truth.pop(name, None) is None:
            return
        if label is not None:
            self.truth[name] = label
        self.version += 1
        line = event(kind, item(name, str(self.version), x=label or "gone"))
        self.history.append((self.version, line + b"\n"))

    def answer(self, reflector: Reflector) -> bytes:
        """Answer the request that is next, in full."""
        asked = query(reflector)
        if "watch" not in asked:
            listed = [item(name, "1", x=label) for name, label in self.truth.items()]
            return page(str(self.version), *listed)
        since = int(asked["resourceVersion"])
        lines = [line for version, line in self.history if version > since]
        return b"".join([*lines, bookmark(str(self.version)), b"\n"])


def drive(reflector: Reflector, labels: NamespaceLabels, answer: bytes) -> None:
    """Digest one answer as a follower does, whatever is in it."""
    try:
        if not reflector.version:
            labels.apply(reflector.take_page(answer))
            return
        for line in Lines().feed(answer):
            change = reflector.take_line(line)
            if change is not None:
                labels.apply(change)
    except ClusterError:
        reflector.start_over()


histories = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", None])), max_size=4),
        st.sampled_from(["whole", "cut", "garbled", "twice"]),
        st.integers(0, 10_000),
    ),
    max_size=12,
)


@given(histories)
def test_whatever_happens_on_the_way_the_end_is_the_truth(
    history: list[tuple[list[tuple[str, str | None]], str, int]],
) -> None:
    """Answers cut, garbled or repeated never leave us with what is not so, once one is whole."""
    cluster, reflector, labels = Cluster(), Reflector(NAMESPACES), NamespaceLabels()
    for changes, fate, where in history:
        for name, label in changes:
            cluster.change(name, label)
        answer = cluster.answer(reflector)
        place = where % (len(answer) + 1)
        if fate == "cut":
            answer = answer[:place]
        elif fate == "garbled":
            answer = answer[:place] + b"\x00\n" + answer[place:]
        elif fate == "twice" and reflector.version:
            answer += answer
        drive(reflector, labels, answer)
    for _ in range(3):  # at most: start over, list, watch
        drive(reflector, labels, cluster.answer(reflector))
    assert {name: found["x"] for name, found in labels.current.items()} == cluster.truth
