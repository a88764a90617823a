"""Reviews per second on one core: on connections kept alive, and on a new one for each review.

Absolute numbers say more about the machine than about the server. So each round measures all
servers, one right after the other, and what counts are ratios. The servers have core 0 to
themselves, the client core 1; a round in which a server had to wait, for the client or because
others used its core, says nothing about its rate and is repeated.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.load.client import Load, Newcomers
from tests.load.contenders import BARE, CLIENT_CORE, ORDER, PLAIN, RUNTIME, WEBHOOK, Server, on_core
from tests.load.figures import Row, Spread

CONNECTIONS = 16
ROUNDS = 9
ATTEMPTS = 18
SECONDS = 0.5
BUSY_ENOUGH = 0.9
GOALS = {BARE: 0.70, PLAIN: 2.5, RUNTIME: 12.0}

PACE_SECONDS = 0.005
PACED_REVIEWS = 100
PACED_ROUNDS = 3

NEWCOMERS = 2
NEW_ROUNDS = 5
NEW_SECONDS = 0.4
NEW_GOAL = 0.80


@dataclass(frozen=True)
class Sample:
    """What one server did in one round."""

    per_second: float
    cpu_microseconds: float
    busy: float


Round = dict[str, Sample]
Run = Callable[[], tuple[int, float]]


def keep_busy(server: Server, run: Run) -> Sample:
    """Have a server answer for a while."""
    before = server.cpu_seconds()
    answers, elapsed = run()
    used = server.cpu_seconds() - before
    return Sample(answers / elapsed, used / answers * 1e6, used / elapsed)


def kept_alive(
    servers: Sequence[Server], tls_dir: Path, body: bytes, rounds: int = ROUNDS
) -> tuple[list[Round], bool]:
    """Measure until enough rounds count; tell whether they did, or all rounds are given instead."""
    with ExitStack() as stack, on_core(CLIENT_CORE):
        loads = {each.name: Load(each.port, tls_dir / "ca.crt", CONNECTIONS) for each in servers}
        for load in loads.values():
            stack.callback(load.close)
        done: list[Round] = []
        for number in range(ATTEMPTS + 1):
            measured = {
                each.name: keep_busy(each, partial(loads[each.name].run, body, SECONDS))
                for each in _turned(servers, number)
            }
            done += [measured] if number else []  # the first one warms up
            good = [each for each in done if is_busy(each)]
            if len(good) == rounds:
                return good, True
        return done, False


def _turned(servers: Sequence[Server], number: int) -> list[Server]:
    """Begin with another server each time."""
    first = number % len(servers)
    return [*servers[first:], *servers[:first]]


def is_busy(measured: Round) -> bool:
    """Tell whether every server had work all the time, and its core to itself."""
    return min(sample.busy for sample in measured.values()) >= BUSY_ENOUGH


def new_connections(
    servers: Sequence[Server], body: bytes, *, resume: bool, rounds: int = NEW_ROUNDS
) -> tuple[list[Round], dict[str, float]]:
    """Measure reviews on a connection each; tell also which share of the handshakes resumed.

    Our client needs more processor time for a handshake than the servers: they are not busy, so
    it is their processor time that is compared.
    """
    shares: dict[str, float] = {}
    with on_core(CLIENT_CORE):
        done = [
            {each.name: _visited(each, body, shares, resume=resume) for each in servers}
            for _ in range(rounds + 1)
        ]
    return done[1:], shares


def paced(
    servers: Sequence[Server], tls_dir: Path, body: bytes, rounds: int = PACED_ROUNDS
) -> list[Round]:
    """Measure reviews that come one by one, each when the last one has long been answered."""

    def run(load: Load) -> tuple[int, float]:
        started = time.perf_counter()
        for _ in range(PACED_REVIEWS):
            load.ask(body)
            time.sleep(PACE_SECONDS)
        return PACED_REVIEWS, time.perf_counter() - started

    with ExitStack() as stack, on_core(CLIENT_CORE):
        loads = {each.name: Load(each.port, tls_dir / "ca.crt", 1) for each in servers}
        for load in loads.values():
            stack.callback(load.close)
        return [
            {each.name: keep_busy(each, partial(run, loads[each.name])) for each in servers}
            for _ in range(rounds)
        ]


def _visited(server: Server, body: bytes, shares: dict[str, float], *, resume: bool) -> Sample:
    clients = Newcomers(server.port, NEWCOMERS)

    def run() -> tuple[int, float]:
        answers, elapsed, resumed = clients.run(body, NEW_SECONDS, resume=resume)
        shares[server.name] = round(resumed / answers, 2)
        return answers, elapsed

    return keep_busy(server, run)


def rate_rows(
    group: str, rounds: Sequence[Round], goals: Mapping[str, float], *, quiet: bool
) -> Iterator[Row]:
    """Compare the webhook with each other: rates, or processor time where others disturbed."""
    for other in _others(rounds):
        ratios = [_ratio(each, other, by_time=not quiet) for each in rounds]
        yield Row(group, f"against {other}", Spread.of(ratios), goals.get(other))


def new_rows(group: str, rounds: Sequence[Round], goal: float | None) -> Iterator[Row]:
    """Compare the processor time of new connections."""
    for other in _others(rounds):
        ratios = [_ratio(each, other, by_time=True) for each in rounds]
        yield Row(group, f"against {other}", Spread.of(ratios), goal if other == BARE else None)


def _others(rounds: Sequence[Round]) -> list[str]:
    """Name those that the webhook is compared with, in one order."""
    return [name for name in ORDER if name != WEBHOOK and name in rounds[0]]


def _ratio(measured: Mapping[str, Sample], other: str, *, by_time: bool) -> float:
    ours, theirs = measured[WEBHOOK], measured[other]
    if by_time:
        return theirs.cpu_microseconds / ours.cpu_microseconds
    return ours.per_second / theirs.per_second


def summed_up(rounds: Sequence[Round]) -> dict[str, dict[str, float]]:
    """Give each server's medians, for those who want absolute figures."""
    return {
        name: {
            "per_second": Spread.of([each[name].per_second for each in rounds]).median,
            "cpu_microseconds": Spread.of([each[name].cpu_microseconds for each in rounds]).median,
        }
        for name in ORDER
        if name in rounds[0]
    }
