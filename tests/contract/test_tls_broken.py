"""A pair that cannot be served changes nothing but the alarm, and the next one ends that."""

import logging
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.contract.reviews import encoded
from tests.contract.serving import ServerThread, serve_thread, wait_until
from tests.contract.tls_directory import Pair, TlsDirectory, presented
from webhook.state import Fixed, Snapshot, State
from webhook.tls_pair import TlsFiles

POLL_SECONDS = 0.02
DAY = timedelta(days=1)

Break = Callable[[TlsDirectory, Pair], None]


def rubbish(directory: TlsDirectory, _good: Pair) -> None:
    """Neither file is what it should be."""
    directory.copy(Pair(b"\xff\x00 rubbish", b"\xff\x00 rubbish"))


def of_two_pairs(directory: TlsDirectory, good: Pair) -> None:
    """Only the certificate was replaced, and not by one of the same key."""
    directory.copy(Pair(good.certificate, directory.issue().key))


def half_a_certificate(directory: TlsDirectory, good: Pair) -> None:
    """The certificate ends in the middle."""
    directory.copy(Pair(good.certificate[:300], good.key))


def half_a_chain(directory: TlsDirectory, good: Pair) -> None:
    """The certificate is whole, the one behind it is not."""
    directory.copy(Pair(good.certificate + directory.ca.cert_pem.bytes()[:300], good.key))


def half_a_key(directory: TlsDirectory, good: Pair) -> None:
    """The key ends in the middle."""
    directory.copy(Pair(good.certificate, good.key[:100]))


def a_locked_key(directory: TlsDirectory, good: Pair) -> None:
    """The key has a password."""
    key = load_pem_private_key(good.key, None)
    lock = BestAvailableEncryption(b"secret")
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    directory.copy(Pair(good.certificate, locked))


def expired(directory: TlsDirectory, _good: Pair) -> None:
    """The certificate was good until yesterday."""
    directory.copy(directory.issue(not_after=datetime.now(UTC) - DAY))


def of_tomorrow(directory: TlsDirectory, _good: Pair) -> None:
    """The certificate is not valid yet."""
    directory.copy(directory.issue(not_before=datetime.now(UTC) + DAY))


def for_another_service(directory: TlsDirectory, _good: Pair) -> None:
    """The certificate is good, but for somebody else."""
    directory.copy(directory.issue("a.b.svc", "10.0.0.1", "*.localhost"))


def without_a_certificate(directory: TlsDirectory, good: Pair) -> None:
    """One file is missing."""
    directory.copy(good)
    (directory.path / "tls.crt").unlink()


def without_a_key(directory: TlsDirectory, good: Pair) -> None:
    """The other file is missing."""
    directory.copy(good)
    (directory.path / "tls.key").unlink()


def empty(directory: TlsDirectory, _good: Pair) -> None:
    """Nothing is left."""
    for path in directory.path.iterdir():
        path.unlink()


def gone(directory: TlsDirectory, _good: Pair) -> None:
    """Not even the directory is left."""
    shutil.rmtree(directory.path)


CASES: dict[Break, str] = {
    rubbish: "/tls.crt: not a PEM certificate; the file begins with",
    of_two_pairs: "/tls.crt: its key does not belong to its certificate; give tls.key",
    half_a_certificate: "/tls.crt: not a PEM certificate",
    half_a_chain: ": the pair cannot be loaded (",
    half_a_key: "/tls.crt: its key is not a PEM private key",
    a_locked_key: "/tls.crt: its key is encrypted",
    expired: "/tls.crt: expired at ",
    of_tomorrow: "/tls.crt: not valid before ",
    for_another_service: (
        '/tls.crt: covers "a.b.svc", "*.localhost", "10.0.0.1", not "localhost"; issue one for it, '
        "or name the Service in --service-name (VCI_WEBHOOK_SERVICE_NAME)"
    ),
    without_a_certificate: "/tls.crt: cannot be read: no such file or directory",
    without_a_key: "/tls.key: cannot be read: no such file or directory",
    empty: "/tls.crt: cannot be read: no such file or directory",
    gone: ": not a directory; name the one that holds tls.crt and tls.key",
}


@pytest.fixture
def directory(tmp_path: Path) -> TlsDirectory:
    """A directory with a good pair."""
    made = TlsDirectory(tmp_path / "tls")
    made.copy(made.issue())
    return made


@pytest.fixture
def server(directory: TlsDirectory) -> Iterator[ServerThread]:
    """A server that looks at its directory often."""
    files = TlsFiles(directory.path, "localhost")
    with serve_thread(files, directory.ca_file, POLL_SECONDS) as running:
        yield running


def metric(server: ServerThread, name: str, **labels: str) -> float:
    """Give a metric of certificates."""
    return server.metrics.registry.get_sample_value(f"vci_webhook_tls_{name}", labels) or 0.0


def serial(server: ServerThread) -> int:
    """Give the serial number that a new connection meets, which is good for a review."""
    with server.connect() as connection:
        assert connection.post(encoded()).status == 200
        return presented(connection)


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    """Capture what is logged at level info as well."""
    caplog.set_level(logging.INFO)


def problems(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Give what was said about certificates that were not served."""
    told = [each for each in caplog.records if each.message == "certificate rejected"]
    assert {each.levelno for each in told} <= {logging.ERROR}
    return [each.__dict__["fields"] for each in told]


@pytest.mark.parametrize("broken", CASES, ids=lambda broken: broken.__name__)
def test_a_broken_pair_is_told_and_not_served(
    server: ServerThread,
    directory: TlsDirectory,
    caplog: pytest.LogCaptureFixture,
    broken: Break,
) -> None:
    """The pair before it goes on, one line at error says what is wrong, and a good one ends it."""
    before = serial(server)
    with server.connect() as kept:
        broken(directory, directory.issue())
        wait_until(lambda: metric(server, "certificate_rejected") == 1, "the alarm")
        looks = metric(server, "reloads_total", result="failure")
        assert serial(server) == before
        assert server.probe("/readyz").status == 200
        assert looks == metric(server, "reloads_total", result="failure") == len(problems(caplog))
        told = problems(caplog)[-1]
        prefix = f"--tls-dir (VCI_WEBHOOK_TLS_DIR): {directory.path}"
        assert told["problem"].startswith(prefix + CASES[broken])
        assert told["serving"].endswith("Z")
        shutil.rmtree(directory.path, ignore_errors=True)
        good = directory.issue()
        directory.copy(good)
        wait_until(lambda: metric(server, "certificate_rejected") == 0, "the alarm's end")
        assert serial(server) == good.serial
        assert kept.post(encoded()).status == 200
        assert presented(kept) == before


def test_a_server_without_a_certificate_waits_for_one(
    directory: TlsDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    """As a Pod does that starts before its certificate is signed: alive, not ready, saying why."""
    shutil.rmtree(directory.path)
    directory.path.mkdir()
    waiting = ServerThread(Fixed(State(Snapshot())), directory.ca_file)
    with waiting.running(TlsFiles(directory.path, "localhost"), POLL_SECONDS, wait=True) as server:
        wait_until(lambda: len(problems(caplog)) == 1, "the reason")
        assert problems(caplog)[0]["serving"] == "none"
        assert server.probe("/healthz").status == 200
        not_ready = server.probe("/readyz")
        assert not_ready.status == 503
        assert b"/tls.crt: cannot be read: no such file" in not_ready.body
        for _ in range(3):
            with pytest.raises(OSError, match="EOF occurred"):
                server.connect()
        good = directory.issue()
        directory.swap(good)
        wait_until(lambda: server.probe("/readyz").status == 200, "the certificate")
        assert serial(server) == good.serial
    assert "certificate loaded" in caplog.messages


def test_the_metrics_are_those_of_what_is_served(
    server: ServerThread, directory: TlsDirectory
) -> None:
    """The end of the certificate, when it was read, and how many have been."""
    read = metric(server, "last_reload_success_timestamp_seconds")
    good = directory.issue(not_after=datetime.now(UTC) + DAY)
    directory.copy(good)
    wait_until(lambda: metric(server, "reloads_total", result="success") == 2, "the second")
    end = good.leaf.not_valid_after_utc.timestamp()
    assert metric(server, "certificate_expiry_timestamp_seconds") == end
    assert metric(server, "last_reload_success_timestamp_seconds") > read
    assert metric(server, "reloads_total", result="failure") == 0
    assert b"vci_webhook_tls_certificate_expiry_timestamp_seconds" in server.probe("/metrics").body
