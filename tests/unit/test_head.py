"""Which heads are those of plain reviews, and that knowing one is as good as reading it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.head import BODY_LIMIT, KNOWN_LIMIT, Heads, is_begun, read_plain, timeout_of
from webhook.limits import HEAD_LIMIT

PLAIN = (
    b"POST /mutate?timeout=5s HTTP/1.1\r\nHost: webhook.svc:443\r\n"
    b"User-Agent: kube-apiserver-admission\r\nContent-Length: 7123\r\n"
    b"Accept: application/json, */*\r\nContent-Type: application/json\r\n"
    b"Accept-Encoding: gzip\r\n\r\n"
)
UNUSUAL = {
    "another method": (b"POST ", b"PUT "),
    "another path": (b"/mutate?", b"/mutate/?"),
    "an encoded path": (b"/mutate", b"/%6dutate"),
    "another host in the target": (b"/mutate", b"http://x/mutate"),
    "HTTP/1.0": (b"HTTP/1.1", b"HTTP/1.0"),
    "a type with parameters": (b"application/json\r\nAccept-E", b"application/json;\r\nAccept-E"),
    "another type": (b"Content-Type: application/json", b"Content-Type: text/json"),
    "no type": (b"Content-Type: application/json\r\n", b""),
    "no length": (b"Content-Length: 7123\r\n", b""),
    "no body": (b"Length: 7123", b"Length: 0"),
    "too large a body": (b"Length: 7123", b"Length: %d" % (BODY_LIMIT + 1)),
    "two lengths": (b"Accept-Encoding: gzip", b"Content-Length: 7"),
    "a length with a sign": (b"Length: 7123", b"Length: +123"),
    "a length in hexadecimal": (b"Length: 7123", b"Length: 0x12"),
    "a length with blanks": (b"Length: 7123", b"Length: 71 23"),
    "a stream": (b"Accept-Encoding: gzip", b"Transfer-Encoding: chunked"),
    "compressed": (b"Accept-Encoding", b"Content-Encoding"),
    "an expectation": (b"Accept-Encoding: gzip", b"Expect: 100-continue"),
    "an upgrade": (b"Accept-Encoding: gzip", b"Connection: upgrade\r\nUpgrade: h2c"),
    "a last request": (b"Accept-Encoding: gzip", b"Connection: close"),
    "not HTTP": (b"HTTP/1.1", b"HTTP/9.9"),
    "a broken header": (b"Accept-Encoding: gzip", b"Accept Encoding"),
    "a NUL": (b"gzip", b"\x00"),
    "too long": (b"gzip", b"x" * HEAD_LIMIT),
}


def test_the_api_servers_head_is_plain() -> None:
    """Its length and its timeout are read, however often."""
    heads = Heads()
    assert [heads.read(PLAIN) for _ in range(3)] == [(7123, 5)] * 3


@pytest.mark.parametrize(("old", "new"), UNUSUAL.values(), ids=UNUSUAL.keys())
def test_anything_else_is_not(old: bytes, new: bytes) -> None:
    """Each difference that matters is seen, also by whoever knows the plain head already."""
    heads = Heads()
    heads.read(PLAIN)
    unusual = PLAIN.replace(old, new)
    assert unusual != PLAIN
    assert heads.read(unusual) is None


@given(st.lists(st.tuples(st.integers(0, len(PLAIN)), st.binary(max_size=3)), max_size=3))
def test_a_head_that_is_known_is_read_like_any_other(changes: list[tuple[int, bytes]]) -> None:
    """Whatever is changed in a head, knowing others never makes it mean something else."""
    heads = Heads()
    heads.read(PLAIN)
    changed = bytearray(PLAIN)
    for position, new in changes:
        changed[position : position + len(new)] = new
    head = bytes(changed)
    if head.find(b"\r\n\r\n") == len(head) - 4:  # what is read ends at its first empty line
        assert heads.read(head) == read_plain(head)


@given(st.integers(0, 10 * BODY_LIMIT))
def test_another_length_is_another_length(length: int) -> None:
    """Of a head that is known, the length is read anew."""
    heads = Heads()
    heads.read(PLAIN)
    expected = (length, 5) if 0 < length <= BODY_LIMIT else None
    assert heads.read(PLAIN.replace(b"7123", b"%d" % length)) == expected


def test_few_heads_are_known() -> None:
    """Whoever sends another one each time does not fill the memory."""
    heads = Heads()
    for number in range(3 * KNOWN_LIMIT):
        assert heads.read(PLAIN.replace(b"gzip", b"%d" % number)) == (7123, 5)
        assert len(heads) <= KNOWN_LIMIT


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (b"timeout=5s", 5),
        (b"x=1&timeout=30s&y=2", 30),
        (b"timeout=10s&timeout=20s", 10),
        *((query, 1) for query in (b"", b"timeout=", b"timeout=s", b"timeout=5", b"timeout=-5s")),
        *(
            (query, 1)
            for query in (b"timeout=0s", b"timeout=1m0s", b"timeout=1.5s", b"xtimeout=9s")
        ),
        *((query, 1) for query in (b"timeout=5s5s", b"timeout=%35s", b"timeout=99999999999999s")),
        (b"timeout=31s", 30),
        (b"timeout=9999s", 30),
    ],
)
def test_the_timeout_is_between_what_a_configuration_can_have(query: bytes, seconds: int) -> None:
    """Nonsense counts as the least, too much as the most."""
    assert timeout_of(query) == seconds


@pytest.mark.parametrize(
    ("received", "begun"),
    [
        (b"P", True),
        (b"POST /mutate", True),
        (b"POST /mutate?x", True),
        (b"}", False),
        (b"GET", False),
    ],
)
def test_what_cannot_become_a_plain_head_is_seen_early(received: bytes, *, begun: bool) -> None:
    """Nobody waits for the end of what is already wrong."""
    assert is_begun(bytearray(received)) is begun
