"""How much callers may take of time, memory and connections; each number with its reason.

An API server sends a whole review at once and reads its answer at once, so none of this is ever in
its way. It is for whoever else in the cluster can reach the port.
"""

from dataclasses import dataclass
from typing import Self

# A review has a few KB; its head a few hundred bytes, and 8 KB where traces carry their baggage.
HEAD_LIMIT = 16 * 1024

NEVER = float("inf")  # as a deadline

OVERLOADED = "too much is in flight; ask again"
TOO_SLOW = "the request did not arrive in time; send it at once"
TOO_LONG = f"the head is larger than {HEAD_LIMIT >> 10} KiB; send fewer headers"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator may change, and the deadlines that are what they are."""

    # Three API servers of 600 seats each (their default) may all create Pods at once, each on a
    # connection of its own. An idle connection costs 30 to 60 KB.
    connections: int = 2000
    # Reviews whose rest is on its way, or that wait for a namespace's labels; one that arrives
    # whole is answered at once, and never counts. Half of what those API servers can send.
    reviews: int = 1000
    # Eight of the largest bodies, or four thousand ordinary ones; a quarter of what a Pod is given.
    megabytes: int = 32
    # Lines about reviews in a second; beyond, one in a hundred. A line costs 10 µs: 50 are nothing.
    lines: int = 50
    # Go's client gives up a handshake after 10 s; two round trips take a few milliseconds.
    handshake_seconds: float = 5.0
    # From the first byte on. The API server sends a head with one write.
    head_seconds: float = 5.0
    # From the first byte on, body and all: 4 MiB at a megabyte a second, and some patience. Reading
    # the answer may take as long again.
    request_seconds: float = 10.0
    # After a signal: endpoints are removed within seconds; API servers then dial again.
    drain_seconds: float = 15.0
    # API servers close an idle connection after 90 s. Whoever closes first must not be us: a review
    # sent at that moment would be lost.
    idle_seconds: float = 120.0


class Room:
    """What is in flight: reviews that are not complete yet, or wait, and the bytes they hold."""

    def __init__(self, limits: Limits) -> None:
        self._reviews_limit = limits.reviews
        self._bytes_limit = limits.megabytes << 20
        self.reviews = 0
        self.bytes = 0
        self.shed = 0

    @property
    def is_full(self) -> bool:
        """Tell whether what comes now has to come again later."""
        return self.reviews > self._reviews_limit or self.bytes > self._bytes_limit


class Place:
    """What one request occupies of the room, once some of it has to be kept."""

    __slots__ = ("_bytes", "room")

    def __init__(self, room: Room) -> None:
        self.room = room
        self._bytes = 0
        room.reviews += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def hold(self, size: int) -> bool:
        """Keep so many bytes, in all; tell whether there is room for them."""
        self.room.bytes += size - self._bytes
        self._bytes = size
        return not self.room.is_full

    def leave(self) -> None:
        """Give everything back."""
        self.room.reviews -= 1
        self.room.bytes -= self._bytes
