"""What a server carries, and what it refuses: metrics of limits, connections and handshakes."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from webhook.families import counter, gauge, plain_counter
from webhook.handshake import Handshakes
from webhook.limits import Room
from webhook.log import dropped_lines
from webhook.port import Port


class Load(Collector):
    """Reads the numbers where they are kept, when somebody asks."""

    def __init__(self, prefix: str, room: Room, handshakes: Handshakes, port: Port) -> None:
        self._prefix = prefix
        self._room = room
        self._handshakes = handshakes
        self._port = port

    def collect(self) -> Iterator[Metric]:
        """Give the samples."""
        prefix, room = self._prefix, self._room
        yield gauge(
            f"{prefix}_requests_in_flight",
            "Requests that are not complete yet, or wait; the others are answered at once.",
            room.reviews,
        )
        yield gauge(
            f"{prefix}_in_flight_bytes", "Bytes held by requests that are in flight.", room.bytes
        )
        yield plain_counter(
            f"{prefix}_requests_shed",
            "Requests answered 503 with Retry-After because too much was in flight.",
            room.shed,
        )
        yield from self._connections()
        yield plain_counter(
            f"{prefix}_log_lines_dropped",
            "Lines lost because nobody read the log.",
            dropped_lines(),
        )

    def _connections(self) -> Iterator[Metric]:
        prefix = self._prefix
        yield gauge(
            f"{prefix}_connections",
            "Connections of the port for reviews, after their handshake.",
            len(self._port.connections),
        )
        yield counter(
            f"{prefix}_connections_cut",
            "Connections that we ended: a request was too slow, or there were too many.",
            ["cause"],
            {(cause,): count for cause, count in self._port.cut.items()},
        )
        yield gauge(
            f"{prefix}_tls_handshakes_pending", "Handshakes under way.", self._handshakes.pending
        )
        yield counter(
            f"{prefix}_tls_handshake_failures",
            "Handshakes that failed; untrusted: our certificate was refused, stranger: theirs.",
            ["cause"],
            {(cause,): count for cause, count in self._handshakes.failed.items()},
        )
