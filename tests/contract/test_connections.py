"""What a connection is: TLS of today, HTTP/1.1, used again and again, in order."""

import json
import socket
import ssl
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.contract.client import JSON_HEADERS, Connection, trusting
from tests.contract.reviews import encoded
from tests.contract.serving import ServeProcess
from tests.contract.settled import settled_log


def test_a_connection_serves_many_reviews(webhook: ServeProcess) -> None:
    """Keep-alive: the API server's pool sends review after review."""
    with webhook.connect() as connection:
        uids = [str(number) for number in range(200)]
        answers = [connection.post(encoded(uid=uid)).json["response"]["uid"] for uid in uids]
    assert answers == uids


def test_a_refused_review_does_not_end_the_connection(webhook: ServeProcess) -> None:
    """A 400 after a complete body leaves the connection as good as before."""
    with webhook.connect() as connection:
        statuses = [connection.post(body).status for body in (b"", encoded(), b"[]", encoded())]
    assert statuses == [400, 200, 400, 200]


def test_pipelined_reviews_are_answered_in_order(webhook: ServeProcess) -> None:
    """Requests that arrive together are answered one after the other."""
    with webhook.connect() as connection:
        bodies = [encoded(uid=str(number)) for number in range(20)]
        heads = [connection.head("POST", "/mutate", JSON_HEADERS, body) for body in bodies]
        connection.send(b"".join(head + body for head, body in zip(heads, bodies, strict=True)))
        answers = [connection.receive().json["response"]["uid"] for _ in bodies]
    assert answers == [str(number) for number in range(20)]


def test_an_http_1_0_client_is_answered_and_closed(webhook: ServeProcess) -> None:
    """An old client, or one that asks for it, gets its answer and then the end."""
    body = encoded()
    with webhook.connect() as connection:
        head = connection.head("POST", "/mutate", JSON_HEADERS, body)
        connection.send(head.replace(b"HTTP/1.1", b"HTTP/1.0") + body)
        assert connection.receive().headers["connection"] == "close"
        assert connection.ends()
    with webhook.connect() as connection:
        response = connection.post(body, {**JSON_HEADERS, "Connection": "close"})
        assert response.headers["connection"] == "close"
        assert connection.ends()


def test_many_connections_at_once(webhook: ServeProcess) -> None:
    """Two hundred new connections at the same time all get their answer."""
    body = encoded()
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda _: webhook.post(body).status, range(200)))
    assert statuses == [200] * 200


@pytest.mark.parametrize("offer", [(), ("http/1.1",), ("h2", "http/1.1"), ("h2",), ("nonsense",)])
def test_the_server_speaks_http_1_1_whatever_is_offered(
    webhook: ServeProcess, offer: tuple[str, ...]
) -> None:
    """ALPN never selects HTTP/2; a client without ALPN is served as well."""
    with webhook.connect(*offer) as connection:
        assert isinstance(connection.socket, ssl.SSLSocket)
        agreed = connection.socket.selected_alpn_protocol()
        assert agreed == ("http/1.1" if "http/1.1" in offer else None)
        assert connection.post(encoded()).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_today_is_accepted(webhook: ServeProcess, version: ssl.TLSVersion) -> None:
    """TLS 1.2 is the least that API servers use."""
    context = trusting(webhook.ca)
    context.minimum_version = context.maximum_version = version
    with Connection(webhook.url, context) as connection:
        assert connection.post(encoded()).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_of_yesterday_is_refused(webhook: ServeProcess, version: ssl.TLSVersion) -> None:
    """TLS 1.1 and older do not even shake hands, though the client would allow any cipher."""
    context = trusting(webhook.ca)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), Connection(webhook.url, context):
        pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed(webhook: ServeProcess, version: ssl.TLSVersion) -> None:
    """A second handshake with a ticket of the first is a short one."""
    context = trusting(webhook.ca)
    context.minimum_version = context.maximum_version = version
    with Connection(webhook.url, context) as connection:
        connection.post(encoded())
        assert isinstance(connection.socket, ssl.SSLSocket)
        session = connection.socket.session
    host, port = connection.host.split(":")
    with (
        socket.create_connection((host, int(port)), 10) as raw,
        context.wrap_socket(raw, server_hostname="localhost", session=session) as resumed,
    ):
        assert resumed.session_reused


@pytest.mark.parametrize(
    "garbage", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 99]
)
def test_what_is_not_tls_is_dropped_without_a_word_in_the_log(
    webhook: ServeProcess, garbage: bytes
) -> None:
    """Port scanners and plain HTTP leave no traceback, and hinder nobody."""
    before = settled_log(webhook)
    with Connection(webhook.url) as stranger:
        stranger.send(garbage)
        if garbage:
            assert _is_dropped(stranger)
    assert webhook.post(encoded(namespace="plain")).status == 200
    assert settled_log(webhook) == before


def test_a_name_that_is_none_leaves_no_trace(webhook: ServeProcess) -> None:
    """A handshake that asks for a name of any bytes is dropped; the bytes are not logged."""
    before = settled_log(webhook)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(webhook.ca).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    with Connection(webhook.url) as stranger:
        stranger.send(outgoing.read().replace(b"localhost", b"local\xffost"))
        assert _is_dropped(stranger)
    assert settled_log(webhook) == before


def _is_dropped(stranger: Connection) -> bool:
    """Read what comes (a TLS alert at most) until the server closes."""
    try:
        while stranger.socket.recv(1024):
            pass
    except ConnectionError:
        pass
    return True


def test_a_client_that_does_not_trust_us_leaves_no_trace(webhook: ServeProcess) -> None:
    """A handshake that the client aborts is the client's affair."""
    before = settled_log(webhook)
    with pytest.raises(ssl.SSLCertVerificationError):
        Connection(webhook.url, ssl.create_default_context())
    assert webhook.post(encoded(namespace="plain")).status == 200
    assert settled_log(webhook) == before


@pytest.mark.parametrize(
    "request_lines",
    [
        "nonsense",
        "POST /mutate HTTP/9.9",
        "GET http://[::1 HTTP/1.1",
        "CONNECT example.com:443 HTTP/1.1",
        "POST /mutate HTTP/1.1\r\nbroken header",
        "POST /mutate HTTP/1.1\r\nX: \x00",
        "PRI * HTTP/2.0\r\n\r\nSM",
    ],
)
def test_what_is_not_http_ends_the_connection(webhook: ServeProcess, request_lines: str) -> None:
    """A request that cannot be read is refused, and nothing after it is."""
    with webhook.connect() as connection:
        connection.send(f"{request_lines}\r\n\r\n".encode())
        response = connection.receive()
        assert (response.status, response.headers["connection"]) == (400, "close")
        assert connection.ends()


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_an_upgrade_is_not_made(webhook: ServeProcess, upgrade: str) -> None:
    """A wish for another protocol is refused: where its body ends is not for us to guess."""
    headers = {**JSON_HEADERS, "Connection": "Upgrade", "Upgrade": upgrade}
    with webhook.connect() as connection:
        response = connection.post(encoded(), headers)
        assert (response.status, response.headers["connection"]) == (400, "close")
        assert connection.ends()


def test_hundred_kilobytes_of_headers_do_no_harm(webhook: ServeProcess) -> None:
    """Headers beyond reason are answered or refused, and the server lives on."""
    with webhook.connect() as connection:
        headers = {**JSON_HEADERS, **{f"X-{number}": "y" * 1000 for number in range(100)}}
        assert connection.post(encoded(), headers).status in (200, 400, 431)
    assert json.loads(webhook.post(encoded()).body)["response"]["allowed"] is True
