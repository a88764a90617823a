"""The reviews that are sent: recorded ones, each time with a name and a uid of its own.

A mark of fixed length stands where they differ; the client puts a number there. So no server can
take one review for another, and what a server may remember is only what Pods have in common.
"""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARK = b"@@@@@@@@"


def recorded(name: str) -> bytes:
    """Read a recorded review, and mark the ends of uid and name."""
    body = (ROOT / "tests" / "recorded" / f"{name}.json").read_bytes()
    request = json.loads(body)["request"]
    for own in (request["uid"].encode(), request["name"].encode()):
        body = body.replace(own, own[: -len(MARK)] + MARK)
    return body


def of_new_shape(body: bytes) -> bytes:
    """Have each Pod also select nodes as no other does: nothing known about others helps then."""
    before, spec, after = body.partition(b'"spec":{')
    assert b"nodeSelector" not in after
    return before + spec + b'"nodeSelector":{"example.com/shape":"%b"},' % MARK + after


def first(body: bytes) -> bytes:
    """Return the first of the reviews."""
    return body.replace(MARK, b"0" * len(MARK))


def request_of(body: bytes, port: int) -> bytes:
    """Write the request that the API server would send."""
    head = (
        f"POST /mutate?timeout=5s HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "User-Agent: kube-apiserver-admission\r\nAccept: application/json, */*\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n"
        "Accept-Encoding: gzip\r\n\r\n"
    )
    return head.encode() + body


_numbers = count()


def requests_of(body: bytes, port: int) -> Iterator[bytes]:
    """Write requests without end, none like another."""
    parts = request_of(body, port).split(MARK)
    for number in _numbers:
        yield (b"%08d" % number).join(parts)
