"""How much of a body is read, and what happens when it is not what was announced."""

import contextlib
import json
import resource
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from tests.contract.client import JSON_HEADERS, Connection
from tests.contract.reviews import POD, encoded, operations_of, review_of
from tests.contract.serving import ServeProcess
from tests.contract.settled import settled_log

LIMIT = 4 * 1024 * 1024
CHUNKED = {**JSON_HEADERS, "Transfer-Encoding": "chunked"}


def test_a_body_of_the_limit_is_read(webhook: ServeProcess) -> None:
    """Four mebibytes are accepted to the last byte."""
    response = webhook.post(_padded(LIMIT))
    assert response.status == 200
    assert operations_of(response.json)


def test_a_byte_more_is_refused_by_its_announcement(webhook: ServeProcess) -> None:
    """A Content-Length above the limit is refused before the body is sent."""
    with webhook.connect() as connection:
        _announce(connection, LIMIT + 1)
        response = connection.receive()
        assert (response.status, response.headers["connection"]) == (413, "close")


def test_a_client_that_sends_it_all_the_same_gets_the_answer(webhook: ServeProcess) -> None:
    """The rest of a refused body is read, so that no reset overtakes the answer."""
    with webhook.connect() as connection:
        assert connection.post(_padded(LIMIT + 1)).status == 413
        assert connection.ends()


def test_a_streamed_body_is_cut_at_the_limit(webhook: ServeProcess) -> None:
    """Without a Content-Length the bytes are counted as they come."""
    with webhook.connect() as connection:
        connection.send(connection.head("POST", "/mutate", CHUNKED))
        body = _padded(LIMIT + 1)
        for start in range(0, len(body), 1 << 16):
            connection.send(_chunk(body[start : start + (1 << 16)]))
        assert connection.receive().status == 413
        assert connection.ends()


def test_an_endless_body_ends_with_the_connection(webhook: ServeProcess) -> None:
    """A client that never stops sending is answered, then cut off; memory stays flat."""
    before = _resident_mib(webhook)
    with webhook.connect() as connection:
        connection.send(connection.head("POST", "/mutate", CHUNKED))
        _send_until_cut_off(connection, _chunk(b" " * (1 << 16)))
    assert _resident_mib(webhook) - before < 48


def test_a_streamed_review_is_answered(webhook: ServeProcess) -> None:
    """A chunked body is as good as one of known length, however small the chunks."""
    body = encoded()
    with webhook.connect() as connection:
        connection.send(connection.head("POST", "/mutate", CHUNKED))
        for byte in body:
            connection.send(_chunk(bytes([byte])))
        connection.send(b"0\r\n\r\n")
        assert connection.receive().status == 200
        assert connection.post(encoded()).status == 200


def test_a_slow_client_is_waited_for_and_hinders_nobody(webhook: ServeProcess) -> None:
    """Between two pieces of one body, other clients are served."""
    body = encoded()
    with webhook.connect() as slow:
        slow.send(slow.head("POST", "/mutate", JSON_HEADERS, body) + body[:10])
        for piece in (body[10:20], body[20:]):
            assert webhook.post(encoded()).status == 200
            slow.send(piece)
        assert slow.receive().status == 200


def test_a_body_shorter_than_announced_is_no_review(webhook: ServeProcess) -> None:
    """A client that leaves in the middle of its body gets nothing and leaves no trace."""
    body = encoded()
    before = settled_log(webhook)
    with webhook.connect() as connection:
        connection.send(connection.head("POST", "/mutate", JSON_HEADERS, body) + body[:100])
    assert webhook.post(encoded(namespace="plain")).status == 200
    assert settled_log(webhook) == before


def test_a_body_longer_than_announced_is_never_a_second_review(webhook: ServeProcess) -> None:
    """What follows the announced length is garbage between requests: refused, connection closed."""
    body = encoded()
    with webhook.connect() as connection:
        head = connection.head(
            "POST", "/mutate", {**JSON_HEADERS, "Content-Length": str(len(body) - 1)}
        )
        connection.send(head + body)
        refused = [connection.receive()]
        if "connection" not in refused[0].headers:  # the review by itself, then what follows it
            refused.append(connection.receive())
        assert {response.status for response in refused} == {400}
        assert refused[-1].headers["connection"] == "close"
        assert connection.ends()


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 10\r\nContent-Length: 20",
        "Content-Length: 10\r\nTransfer-Encoding: chunked",
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 0x10",
        "Content-Length: 99999999999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, identity",
    ],
)
def test_ambiguous_lengths_are_refused(webhook: ServeProcess, lines: str) -> None:
    """Where two readers could disagree about a body's end, there is no body."""
    with webhook.connect() as connection:
        head = (
            f"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lines}\r\n\r\n"
        )
        connection.send(head.encode() + b"0\r\n\r\n")
        response = connection.receive()
        assert (response.status, response.headers["connection"]) == (400, "close")
        assert response.error
        assert connection.ends()


def test_an_expectation_is_met_only_for_a_body_that_is_wanted(webhook: ServeProcess) -> None:
    """``Expect: 100-continue`` gets its go-ahead, or the refusal before a byte is sent."""
    body = encoded()
    expecting = {**JSON_HEADERS, "Expect": "100-continue"}
    with webhook.connect() as connection:
        connection.send(connection.head("POST", "/mutate", expecting, body))
        assert connection.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(body)
        assert connection.receive().status == 200
    with webhook.connect() as connection:
        _announce(connection, LIMIT + 1, Expect="100-continue")
        assert connection.receive().status == 413


def _announce(connection: Connection, length: int, **headers: str) -> None:
    """Send the head of a request with a body of this length."""
    announced = {**JSON_HEADERS, "Content-Length": str(length), **headers}
    connection.send(connection.head("POST", "/mutate", announced))


def _chunk(data: bytes) -> bytes:
    """Frame bytes for a streamed body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _padded(size: int) -> bytes:
    """Make a review of exactly this many bytes."""
    pod: dict[str, Any] = {**POD, "padding": ""}
    pod["padding"] = "x" * (size - len(json.dumps(review_of(pod))))
    return json.dumps(review_of(pod)).encode()


def _send_until_cut_off(connection: Connection, data: bytes) -> None:
    """Send until the server breaks the connection, which it must do."""
    deadline = time.monotonic() + 10
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while time.monotonic() < deadline:
            connection.send(data)
        pytest.fail("the server reads without end")


def _resident_mib(webhook: ServeProcess) -> float:
    """Give the memory that the server holds."""
    statm = Path(f"/proc/{webhook.process.pid}/statm").read_text()
    return int(statm.split()[1]) * resource.getpagesize() / (1 << 20)
