"""A plain review takes a short way through the server, any other the long one; nobody can tell."""

import time

import pytest

from tests.contract.client import JSON_HEADERS, Connection, Response
from tests.contract.reviews import POD, encoded
from tests.contract.serving import ServeProcess

BODIES = {
    "placed": encoded(),
    "skipped": encoded({**POD, "spec": {**POD["spec"], "hostNetwork": True}}),
    "not touched": encoded(namespace="plain"),
    "not a creation": encoded(operation="UPDATE"),
    "unknown namespace": encoded(namespace="nobody-knows"),
    "malformed": b"{",
    "null": b"null",
}
LONG_WAY = {
    "a charset": {"Content-Type": "application/json; charset=utf-8"},
    "identity": {**JSON_HEADERS, "Content-Encoding": "identity"},
    "streamed": {**JSON_HEADERS, "Transfer-Encoding": "chunked"},
}


def _framed(connection: Connection, body: bytes, headers: dict[str, str]) -> bytes:
    """Write a whole request, streamed where its headers say so."""
    if "Transfer-Encoding" not in headers:
        return connection.head("POST", "/mutate", headers, body) + body
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return connection.head("POST", "/mutate", headers) + chunk


def _told(response: Response) -> tuple[int, bytes, set[str]]:
    """Give what a client can see of an answer."""
    return response.status, response.body, set(response.headers)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("headers", LONG_WAY.values(), ids=LONG_WAY.keys())
def test_both_ways_give_the_same_answer(
    webhook: ServeProcess, body: bytes, headers: dict[str, str]
) -> None:
    """Status, body and headers are the same however a review arrives."""
    with webhook.connect() as connection:
        short = connection.post(body)
        connection.send(_framed(connection, body, headers))
        assert _told(connection.receive()) == _told(short)


def test_reviews_of_both_ways_are_answered_in_order(webhook: ServeProcess) -> None:
    """Pipelined in any mixture, the answers come in the order of the requests."""
    ways = [JSON_HEADERS, *LONG_WAY.values(), JSON_HEADERS, JSON_HEADERS, *LONG_WAY.values()]
    with webhook.connect() as connection:
        requests = [
            _framed(connection, encoded(uid=str(number)), headers)
            for number, headers in enumerate(ways * 3)
        ]
        connection.send(b"".join(requests))
        uids = [connection.receive().json["response"]["uid"] for _ in requests]
    assert uids == [str(number) for number in range(len(requests))]


def test_a_review_in_pieces_is_answered_once(webhook: ServeProcess) -> None:
    """Wherever a plain review is cut, its parts make one answer."""
    body = encoded()
    with webhook.connect() as connection:
        request = _framed(connection, body, JSON_HEADERS)
        for cut in (
            1,
            30,
            len(request) - len(body) - 1,
            len(request) - len(body),
            len(request) - 1,
        ):
            connection.send(request[:cut])
            connection.send(request[cut:])
            assert connection.receive().status == 200


@pytest.mark.parametrize("headers", [JSON_HEADERS, *LONG_WAY.values()], ids=["plain", *LONG_WAY])
def test_a_client_that_does_not_read_is_not_read(
    webhook: ServeProcess, headers: dict[str, str]
) -> None:
    """Whoever sends without end and takes no answer is made to wait: nothing piles up."""
    with webhook.connect() as connection:
        answers_of_50_kb = encoded(uid="1" * 50_000)
        requests = _framed(connection, answers_of_50_kb, headers) * 20
        connection.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            _send_for_long(connection, requests)
    assert webhook.post(encoded()).status == 200


def _send_for_long(connection: Connection, data: bytes) -> None:
    """Send more than all buffers on the way can hold."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        connection.send(data)
