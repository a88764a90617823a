"""A log that nobody reads holds up nobody, and very many reviews make few lines."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.client import Connection, trusting
from tests.contract.reviews import encoded
from tests.contract.serving import Files, command, serve_process
from tests.contract.settled import settled_log

REVIEWS = 500


@contextmanager
def unread(files: Files, *flags: str) -> Iterator[tuple["subprocess.Popen[bytes]", int, list[str]]]:
    """Run a server whose stderr is read until it serves, and then no more."""
    read, write = os.pipe()
    arguments = ("serve", *files.flags(), "--port=0", "--management-port=0", *flags)
    process = subprocess.Popen(command(*arguments), stderr=write)
    os.close(write)
    try:
        urls: list[str] = []
        with os.fdopen(os.dup(read), "rb", buffering=0) as stream:
            told = b""
            while b"listening for probes" not in told:
                told += stream.read(1)
            while not told.endswith(b"\n"):
                told += stream.read(1)
            urls += [json.loads(line)["url"] for line in told.splitlines() if b'"url"' in line]
        yield process, read, urls
    finally:
        process.kill()
        process.wait()
        os.close(read)


def test_a_reader_that_stops_holds_up_nobody(files: Files) -> None:
    """With a full pipe reviews are answered as ever; what could not be written is counted."""
    with unread(files, "--log-reviews-per-second=1000000") as (_process, read, urls):
        body = encoded(uid="u" * 200)
        with Connection(urls[0], trusting(files.ca)) as connection:
            slowest = 0.0
            for _ in range(12_000):  # more than the pipe and all that is kept for it
                started = time.monotonic()
                assert connection.post(body).status == 200
                slowest = max(slowest, time.monotonic() - started)
        assert slowest < 1
        with Connection(urls[1]) as probe:
            metrics = probe.request("GET", "/metrics").body.decode()
        dropped = float(metrics.split("\nvci_webhook_log_lines_dropped_total ")[1].split("\n")[0])
        assert dropped > 0
        told = b""
        while b'"lines dropped"' not in told:  # whoever reads again is told how many are missing
            told = told[-1000:] + os.read(read, 1 << 16)


def test_of_very_many_reviews_a_sample_is_logged(files: Files, tmp_path: Path) -> None:
    """So many lines in a second, then one in a hundred; and a line says how many there were."""
    flags = "--log-reviews-per-second=10"
    with serve_process(files, tmp_path / "log", flags) as server, server.connect() as connection:
        started = time.monotonic()
        for _ in range(REVIEWS):
            assert connection.post(encoded()).status == 200
        seconds = time.monotonic() - started
        server.signal(signal.SIGINT)  # what has not been told is told at the end
        assert server.wait() == 0
        logged = sum(record["message"] == "reviewed" for record in server.records)
        left_out = sum(r["count"] for r in server.records if r["message"] == "reviews not logged")
        assert logged + left_out == REVIEWS
        assert logged <= 10 * (seconds + 2) + REVIEWS / 100


def test_strangers_cannot_fill_the_log(files: Files, tmp_path: Path) -> None:
    """Of bodies that are no reviews, a few lines a second say enough."""
    with serve_process(files, tmp_path / "log") as server, server.connect() as connection:
        started = time.monotonic()
        for _ in range(REVIEWS):
            assert connection.post(b"{").status == 400
        seconds = time.monotonic() - started
        refused = settled_log(server).count("review refused")
        assert refused <= 5 * (seconds + 2) + REVIEWS / 100


@pytest.mark.parametrize("level", ["debug", "info"])
def test_with_debug_also_what_nothing_came_of_is_logged(
    files: Files, tmp_path: Path, level: str
) -> None:
    """Whoever looks for a Pod that was not placed finds out whether it was asked about."""
    with serve_process(files, tmp_path / "log", f"--log-level={level}") as server:
        server.post(encoded(namespace="plain", uid="the-plain-one"))
        assert ("the-plain-one" in settled_log(server)) is (level == "debug")


def test_a_higher_level_leaves_lines_out(files: Files, tmp_path: Path) -> None:
    """At level warning only what somebody should look at is logged."""
    profile = tmp_path / "profile.json"
    manifest = json.loads(files.profile.read_text())
    profile.write_text(json.dumps(manifest | {"data": manifest["data"] | {"nonsense": "x"}}))
    read, write = os.pipe()
    arguments = ("serve", *replace(files, profile=profile).flags(), "--log-level=warning")
    ports = ("--port=0", "--management-port=0")
    process = subprocess.Popen(command(*arguments, *ports), stderr=write)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        first = json.loads(stream.readline())
        process.terminate()
        process.wait()
        rest = [json.loads(line) for line in stream]
    assert "nonsense" in first["message"]
    assert {record["level"] for record in (first, *rest)} == {"warning"}
