"""When a new pair is served: look by look, on a clock of the test's."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.issue import Pair, issue_ca, issue_serving
from certs.names import Names
from webhook.errors import SettingsError
from webhook.metrics import Metrics
from webhook.settings import Settings
from webhook.tls_pair import TlsFiles
from webhook.tls_reload import POLL_SECONDS, SETTLE_SECONDS, ServingCertificate

NOW = datetime(2031, 3, 14, 15, 9, 26, tzinfo=UTC)
HOST = "vci-webhook.vci-webhook.svc"
CA = issue_ca(NOW)
MONTH = timedelta(days=30)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def issue(at: datetime = NOW, host: str = HOST) -> Pair:
    return issue_serving(CA, Names(dns=(host,)), at)


def write(folder: Path, pair: Pair) -> None:
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)


@pytest.fixture
def clock() -> Clock:
    """The clock that the certificate is judged by."""
    return Clock()


@pytest.fixture
def certificate(tmp_path: Path, clock: Clock) -> ServingCertificate:
    """What is served from the test's folder; nothing has been read yet."""
    return ServingCertificate(TlsFiles(tmp_path, HOST), Metrics(), clock)


def served(certificate: ServingCertificate) -> bytes:
    """Give the certificate that a handshake would meet."""
    assert certificate.serving is not None
    return certificate.serving.material.certificate


def settle(certificate: ServingCertificate) -> None:
    """Look until there is nothing new, as the server does."""
    while certificate.look() != POLL_SECONDS:
        pass


def test_a_pair_is_served_when_two_looks_agree(
    certificate: ServingCertificate, tmp_path: Path
) -> None:
    """The first look that finds something new only asks for another one soon."""
    first, second = issue(), issue()
    write(tmp_path, first)
    certificate.load()
    assert served(certificate) == first.certificate
    settle(certificate)
    write(tmp_path, second)
    assert certificate.look() == SETTLE_SECONDS
    assert served(certificate) == first.certificate
    assert certificate.look() == POLL_SECONDS
    assert served(certificate) == second.certificate


def test_files_that_are_being_written_are_left_alone(
    certificate: ServingCertificate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However long it takes to write, nothing is served or said before it is done."""
    write(tmp_path, issue())
    certificate.load()
    settle(certificate)
    before, new = served(certificate), issue()
    for length in range(100, len(new.certificate), 100):
        (tmp_path / "tls.crt").write_bytes(new.certificate[:length])
        assert certificate.look() == SETTLE_SECONDS
        assert served(certificate) == before
    write(tmp_path, new)
    settle(certificate)
    assert served(certificate) == new.certificate
    assert "certificate rejected" not in caplog.messages


def test_a_key_that_comes_late_is_waited_for(
    certificate: ServingCertificate, tmp_path: Path
) -> None:
    """A certificate whose key is not there yet is tried again at each look."""
    write(tmp_path, issue())
    certificate.load()
    before, new = served(certificate), issue()
    (tmp_path / "tls.crt").write_bytes(new.certificate)
    for _ in range(5):
        settle(certificate)
        assert served(certificate) == before
    (tmp_path / "tls.key").write_bytes(new.key)
    settle(certificate)
    assert served(certificate) == new.certificate


def test_a_pair_of_tomorrow_is_served_tomorrow(
    certificate: ServingCertificate, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong with a pair may pass with time, and nobody has to touch the files for that."""
    write(tmp_path, issue())
    certificate.load()
    tomorrow = issue(NOW + timedelta(days=1))
    write(tmp_path, tomorrow)
    for _ in range(5):
        settle(certificate)
    assert served(certificate) != tomorrow.certificate
    assert caplog.messages.count("certificate rejected") == 1
    clock.now += timedelta(days=1)
    settle(certificate)
    assert served(certificate) == tomorrow.certificate


def test_without_a_pair_nobody_is_served_and_it_says_why(
    certificate: ServingCertificate, tmp_path: Path
) -> None:
    """The reason is what is wrong with the files; it ends with the first good pair."""
    with pytest.raises(SettingsError, match="no such file"):
        certificate.load()
    certificate.load(wait=True)
    assert certificate.why_unusable == "no certificate: not read yet"
    settle(certificate)
    assert certificate.why_unusable.startswith("no certificate: --tls-dir (VCI_WEBHOOK_TLS_DIR): ")
    write(tmp_path, issue(host="another.vci-webhook.svc"))
    settle(certificate)
    assert 'covers "another.vci-webhook.svc", not' in certificate.why_unusable
    write(tmp_path, issue())
    settle(certificate)
    assert certificate.why_unusable == ""


def test_a_directory_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    """A Pod has its volumes from the start: what is missing then was named wrongly."""
    certificate = ServingCertificate(TlsFiles(tmp_path / "nowhere", HOST), Metrics())
    with pytest.raises(SettingsError, match="not a directory"):
        certificate.load(wait=True)


@pytest.mark.parametrize(
    ("service", "in_pod", "host"),
    [
        (None, True, "vci-webhook.batch.svc"),
        (None, False, ""),
        ("other", True, "other.batch.svc"),
        ("other", False, "other.batch.svc"),
        ("", True, ""),
    ],
)
def test_the_name_is_that_of_the_service(
    tmp_path: Path, service: str | None, *, in_pod: bool, host: str
) -> None:
    """In a Pod the Service is the usual one unless told; elsewhere none is expected."""
    settings = Settings(tls_dir=tmp_path, own_namespace="batch", service_name=service)
    assert settings.service_host(in_pod=in_pod) == host


def test_a_certificate_that_expires_while_it_is_served(
    certificate: ServingCertificate, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is served on, since the API server's clock decides; but told, once, and not ready."""
    write(tmp_path, issue())
    certificate.load()
    clock.now += MONTH + timedelta(seconds=1)
    for _ in range(5):
        settle(certificate)
    assert caplog.messages.count("certificate expired") == 1
    assert "tls.crt: expired at 2031-04-13 15:09 UTC; issue" in certificate.why_unusable
    write(tmp_path, issue(clock.now))
    settle(certificate)
    assert certificate.why_unusable == ""


def test_the_old_pair_put_back_ends_the_alarm(
    certificate: ServingCertificate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever undoes what was wrong is told that all is well."""
    good = issue()
    write(tmp_path, good)
    certificate.load()
    write(tmp_path, Pair(b"rubbish", b"rubbish"))
    settle(certificate)
    caplog.clear()
    caplog.set_level("INFO")
    write(tmp_path, good)
    settle(certificate)
    assert caplog.messages == ["certificate loaded"]
    assert served(certificate) == good.certificate


@pytest.mark.parametrize(
    ("covered", "accepted"),
    [
        ("vci-webhook.vci-webhook.svc", True),
        ("VCI-webhook.vci-webhook.SVC", True),
        ("*.vci-webhook.svc", True),
        ("vci-webhook.vci-webhook", False),
        ("vci-webhook.vci-webhook.svc.cluster.local", False),
        ("*.svc", False),
        ("*.vci-webhook.vci-webhook.svc", False),
    ],
)
def test_the_name_is_compared_as_api_servers_do(
    certificate: ServingCertificate, tmp_path: Path, covered: str, *, accepted: bool
) -> None:
    """The name of the Service, in any case, or a star for its first label; nothing else."""
    write(tmp_path, issue(host=covered))
    settle(certificate)
    assert (certificate.why_unusable == "") == accepted
