"""Which requests are answered with a review, and what is said to all others."""

import pytest

from tests.contract.client import JSON_HEADERS, Response
from tests.contract.reviews import UID, encoded
from tests.contract.serving import ServeProcess

JSON = "application/json"
OTHERS = ("/validate/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics")


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "Application/JSON",
        "application/json;",
    ],
)
def test_json_in_any_spelling_is_accepted(webhook: ServeProcess, content_type: str) -> None:
    """Content-Type is case-insensitive and may name UTF-8."""
    with webhook.connect() as connection:
        response = connection.post(encoded(), {"Content-Type": content_type})
    assert response.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/yaml"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json; boundary=x"},
        {"Content-Type": "application/vnd.kubernetes.protobuf"},
        {"Content-Type": JSON, "Content-Encoding": "gzip"},
        {"Content-Type": JSON, "Content-Encoding": "deflate, gzip"},
        {"Content-Type": JSON, "Content-Encoding": ""},
    ],
)
def test_other_media_types_are_refused(webhook: ServeProcess, headers: dict[str, str]) -> None:
    """A body that is not plain JSON is a 415; nothing is ever decompressed."""
    with webhook.connect() as connection:
        response = connection.post(encoded(), headers)
        assert response.status == 415
        assert response.error
        assert connection.ends()


def test_identity_is_no_encoding(webhook: ServeProcess) -> None:
    """Content-Encoding: identity says that there is none."""
    with webhook.connect() as connection:
        response = connection.post(encoded(), {**JSON_HEADERS, "Content-Encoding": "Identity"})
    assert response.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_post_is_answered(webhook: ServeProcess, method: str) -> None:
    """Another method is a 405 that names POST, and the connection stays of use."""
    with webhook.connect() as connection:
        refused = connection.request(method, "/mutate")
        assert refused.status == 405
        assert refused.headers["allow"] == "POST"
        assert connection.post(encoded()).status == 200


def test_another_method_with_a_body_ends_the_connection(webhook: ServeProcess) -> None:
    """What follows a refused request is never taken for the next one."""
    with webhook.connect() as connection:
        response = connection.request("PUT", "/mutate", encoded(), JSON_HEADERS)
        assert (response.status, response.headers["connection"]) == (405, "close")
        assert connection.ends()


@pytest.mark.parametrize(
    "target", ["/mutate", "/mutate?timeout=5s", "/mutate?x=%00&timeout=", "/mutate?"]
)
def test_the_query_is_ignored(webhook: ServeProcess, target: str) -> None:
    """The API server adds its timeout to the path."""
    with webhook.connect() as connection:
        assert connection.request("POST", target, encoded(), JSON_HEADERS).status == 200


@pytest.mark.parametrize(
    "target",
    ["/", "*", "/mutate/", "//mutate", "/Mutate", "/mutate/x", "/../mutate", "/mutate%2f", *OTHERS],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_else_is_on_this_port(webhook: ServeProcess, method: str, target: str) -> None:
    """Another path is a 404, never a redirect."""
    with webhook.connect() as connection:
        response = connection.request(method, target, b"{}", JSON_HEADERS)
    assert response.status == 404
    assert response.error == "not found"


def test_an_answer_says_what_it_is(webhook: ServeProcess) -> None:
    """The API server gets JSON of a known length, no name of the server, an open connection."""
    response = webhook.post(encoded())
    assert response.headers["content-type"] == JSON
    assert int(response.headers["content-length"]) == len(response.body)
    assert not response.headers.keys() & {"server", "connection", "transfer-encoding"}
    assert response.json["response"]["uid"] == UID


@pytest.mark.parametrize(
    "status",
    [400, 405, 413, 415],
)
def test_every_refusal_is_json_with_one_sentence(webhook: ServeProcess, status: int) -> None:
    """An error is an object with the one key that says what is wrong; it holds no stack."""
    response = _refusal(webhook, status)
    assert response.status == status
    assert "\n" not in response.error
    assert "traceback" not in response.error.lower()


def _refusal(webhook: ServeProcess, status: int) -> Response:
    """Provoke one kind of refusal."""
    with webhook.connect() as connection:
        match status:
            case 400:
                return connection.post(b"{")
            case 405:
                return connection.request("GET", "/mutate")
            case 413:
                connection.send(
                    connection.head(
                        "POST", "/mutate", {**JSON_HEADERS, "Content-Length": "5000000"}
                    )
                )
                return connection.receive()
            case _:
                return connection.post(b"{}", {})


def test_the_management_port_answers_probes(webhook: ServeProcess) -> None:
    """Alive and ready are two plain answers on a port without TLS."""
    for path in ("/healthz", "/readyz"):
        response = webhook.probe(path)
        assert (response.status, response.body) == (200, b"ok")


@pytest.mark.parametrize("path", ["/", "/mutate", "/healthz/", "/docs", "/openapi.json"])
def test_the_management_port_answers_nothing_else(webhook: ServeProcess, path: str) -> None:
    """No review, and nothing that describes the server, is to be had without TLS."""
    assert webhook.probe(path).status == 404
