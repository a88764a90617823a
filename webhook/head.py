"""The head of a request for a review: read by the parser once, and known by its bytes afterwards.

API servers send one head again and again, in which nothing changes but the length of the body. To
know it is a tenth of the work of reading it. What was never read by the parser is never known, so
both say the same.
"""

import re
from typing import NamedTuple

import httptools

from webhook.limits import HEAD_LIMIT

MUTATE_PATH = "/mutate"
# The API server takes no request above 3 MiB and stores no object above 1.5 MiB: a review of a new
# Pod, the object once and its envelope, stays below.
BODY_LIMIT = 4 * 1024 * 1024
END = b"\r\n\r\n"
JSON = b"application/json"

# What an API server may wait at least and at most, in whole seconds. It always says how long; of
# who does not, or says nonsense, the least is assumed.
SHORTEST_TIMEOUT_SECONDS = 1
LONGEST_TIMEOUT_SECONDS = 30

# Heads that differ in more than the length: one for each API server and way to reach us. Traces
# make each head another one; those are long, and read each time.
KNOWN_LIMIT = 256
KNOWN_BYTES = 512

_TIMEOUT = re.compile(rb"(?:^|&)timeout=(\d{1,4})s(?:&|$)")
_BEGIN = b"POST " + MUTATE_PATH.encode()
_LENGTH = b"\r\nContent-Length: "
_DIGITS_LIMIT = len(str(BODY_LIMIT))
_UNUSUAL = frozenset({b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"})


def is_begun(received: bytearray) -> bool:
    """Tell whether what has arrived can become the head of a plain review."""
    return received.startswith(_BEGIN[: len(received)])


class Plain(NamedTuple):
    """What a plain request announces: bytes of its body, seconds that its sender waits."""

    length: int
    timeout_seconds: int


class Heads:
    """The heads that were read before."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}  # timeouts, by the head without its length

    def __len__(self) -> int:
        return len(self._known)

    def read(self, head: bytes) -> Plain | None:
        """Read a whole head; None when it is not that of a plain review."""
        found = head.find(_LENGTH)
        if found < 0:
            return read_plain(head)
        start = found + len(_LENGTH)
        end = head.find(b"\r\n", start)
        timeout = self._known.get(head[:start] + head[end:])
        if timeout is None:
            return self._learn(head, start, end)
        digits = head[start:end]
        if digits.isdigit() and len(digits) <= _DIGITS_LIMIT and 0 < int(digits) <= BODY_LIMIT:
            return Plain(int(digits), timeout)
        return None

    def _learn(self, head: bytes, start: int, end: int) -> Plain | None:
        plain = read_plain(head)
        if plain is not None and len(head) <= KNOWN_BYTES:
            if len(self._known) >= KNOWN_LIMIT:  # somebody plays; the API server's is soon back
                self._known.clear()
            self._known[head[:start] + head[end:]] = plain.timeout_seconds
        return plain


def read_plain(head: bytes) -> Plain | None:
    """Read a head by the parser; None when it is not as the API server sends it for a Pod."""
    if len(head) > HEAD_LIMIT:
        return None
    found = _Found()
    parser = httptools.HttpRequestParser(found)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    path, _, query = found.url.partition(b"?")
    fields = found.fields
    length = int(fields.get(b"content-length", b"0"))
    if (
        found.complete
        and path == MUTATE_PATH.encode()
        and parser.get_method() == b"POST"
        and parser.get_http_version() == "1.1"
        and parser.should_keep_alive()
        and fields.get(b"content-type") == JSON
        and 0 < length <= BODY_LIMIT
        and _UNUSUAL.isdisjoint(fields)
    ):
        return Plain(length, timeout_of(query))
    return None


class _Found:
    """Takes what the parser calls out."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: dict[bytes, bytes] = {}
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.complete = True


def timeout_of(query: bytes) -> int:
    """Give the seconds after which the sender of a request gives up."""
    found = _TIMEOUT.search(query)
    seconds = int(found[1]) if found else 0
    return min(max(seconds, SHORTEST_TIMEOUT_SECONDS), LONGEST_TIMEOUT_SECONDS)
