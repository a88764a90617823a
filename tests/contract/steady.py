"""``python -m tests.contract.steady URL CA SECONDS RATE``: reviews at a steady rate, as from Argo.

Most go over connections that are kept, one in ten over a new one; no two Pods are the same. Prints
how many there were, how many of each status, and the slowest, as JSON.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.contract.client import Connection, trusting

RECORDED = Path(__file__).parents[1] / "recorded"
KEPT = 16
FRESH_ONE_IN = 10


def bodies() -> list[tuple[bytes, bytes]]:
    """Give recorded reviews, each with the part of it that makes it one of its own."""
    reviews = [path.read_bytes() for path in sorted(RECORDED.glob("*.json"))]
    return [(review, json.loads(review)["request"]["uid"].encode()) for review in reviews]


class Steady:
    """A client that keeps some connections."""

    def __init__(self, url: str, ca: str) -> None:
        self._url = url
        self._context = trusting(ca)
        self._kept = [self._connect() for _ in range(KEPT)]
        self._bodies = bodies()
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0

    def _connect(self) -> Connection:
        return Connection(self._url, self._context)

    def ask(self, number: int) -> None:
        """Send one review and take its answer."""
        review, uid = self._bodies[number % len(self._bodies)]
        body = review.replace(uid[:8], b"%08x" % number)  # also where names are made of it
        started = time.monotonic()
        if number % FRESH_ONE_IN:
            status = self._kept[number % KEPT].post(body).status
        else:
            with self._connect() as fresh:
                status = fresh.post(body).status
        self.slowest = max(self.slowest, time.monotonic() - started)
        self.statuses[status] += 1

    def run(self, seconds: float, rate: float) -> None:
        """Ask at the rate; what could not be asked in time is asked at once."""
        begun = time.monotonic()
        for number in range(int(seconds * rate)):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            self.ask(number)


if __name__ == "__main__":
    client = Steady(sys.argv[1], sys.argv[2])
    client.run(float(sys.argv[3]), float(sys.argv[4]))
    print(json.dumps({"statuses": client.statuses, "slowest": client.slowest}))
