"""What a handshake is: with whatever name, with tickets of before, with today's ciphers only."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.contract.client import Connection, trusting
from tests.contract.reviews import encoded
from tests.contract.serving import ServerThread, serve_thread, wait_until
from tests.contract.tls_directory import TlsDirectory, presented
from webhook.tls import TICKETS, new_context
from webhook.tls_pair import TlsFiles

POLL_SECONDS = 0.02
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
KEYS = {"ECDSA": trustme.KeyType.ECDSA, "RSA": trustme.KeyType.RSA}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> TlsDirectory:
    """A directory with a good pair."""
    made = TlsDirectory(tmp_path_factory.mktemp("sessions") / "tls")
    made.swap(made.issue())
    return made


@pytest.fixture(scope="module")
def server(directory: TlsDirectory) -> Iterator[ServerThread]:
    """A server that looks at its directory often."""
    with serve_thread(TlsFiles(directory.path), directory.ca_file, POLL_SECONDS) as running:
        yield running


def rotate(server: ServerThread, directory: TlsDirectory, key: str = "ECDSA") -> int:
    """Have another certificate served, and give its serial number."""
    pair = directory.issue(key_type=KEYS[key])
    directory.swap(pair)
    wait_until(lambda: serial(server) == pair.serial, "the new certificate")
    return pair.serial


def serial(server: ServerThread) -> int:
    """Give the serial number that a new connection meets."""
    with server.connect() as connection:
        return presented(connection)


class Client:
    """A client that may remember sessions, as a browser does and an API server does not."""

    def __init__(self, ca: Path, version: ssl.TLSVersion) -> None:
        self.context = trusting(ca)
        self.context.minimum_version = self.context.maximum_version = version
        self.session: ssl.SSLSession | None = None

    def ask(self, server: ServerThread) -> bool:
        """Send a review, with the session of before; tell whether that was resumed."""
        with Connection(server.url, self.context, self.session) as connection:
            assert connection.post(encoded()).status == 200
            assert isinstance(connection.socket, ssl.SSLSocket)
            self.session = connection.socket.session
            return bool(connection.socket.session_reused)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_outlives_the_certificate(
    server: ServerThread, directory: TlsDirectory, version: ssl.TLSVersion
) -> None:
    """A ticket of before a rotation is good after it, and after another one."""
    client = Client(server.ca, version)
    assert not client.ask(server)
    for _ in range(2):
        rotate(server, directory)
        assert client.ask(server)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_of_another_replica_is_no_obstacle(
    server: ServerThread, directory: TlsDirectory, version: ssl.TLSVersion
) -> None:
    """A ticket that cannot be read, as after a restart, leads to a full handshake."""
    client = Client(server.ca, version)
    with serve_thread(TlsFiles(directory.path), server.ca) as other:
        assert not client.ask(other)
    assert not client.ask(server)
    assert client.ask(server)


@pytest.mark.parametrize("name", [None, "127.0.0.1", "vci-webhook.vci-webhook.svc", "x" * 63])
def test_any_name_gets_the_newest_certificate(
    server: ServerThread, directory: TlsDirectory, name: str | None
) -> None:
    """Also a client that names nobody, as probes do that dial an address."""
    newest = rotate(server, directory)
    context = trusting(server.ca)
    context.check_hostname = False
    with Connection(server.url, context, server_name=name) as connection:
        assert presented(connection) == newest
        assert connection.post(encoded()).status == 200


def agreed(server: ServerThread, ciphers: str) -> str:
    """Give the cipher of a TLS 1.2 client that offers these, in this order."""
    context = trusting(server.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    with Connection(server.url, context) as connection:
        assert connection.post(encoded()).status == 200
        assert isinstance(connection.socket, ssl.SSLSocket)
        cipher = connection.socket.cipher()
    assert cipher is not None
    return cipher[0]


@pytest.mark.parametrize("key", KEYS)
def test_tls_1_2_agrees_on_the_cipher_that_the_client_likes(
    server: ServerThread, directory: TlsDirectory, key: str
) -> None:
    """Each of the good ones is there, and a client without AES in hardware gets ChaCha20."""
    rotate(server, directory, key)
    good = [
        f"ECDHE-{key}-{which}"
        for which in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    ]
    for first in good:
        assert agreed(server, ":".join([first, *good])) == first


@pytest.mark.parametrize("key", KEYS)
def test_tls_1_2_without_forward_secrecy_or_authenticated_encryption_is_refused(
    server: ServerThread, directory: TlsDirectory, key: str
) -> None:
    """No client gets one of the old ciphers, whatever it allows."""
    rotate(server, directory, key)
    for old in (f"ECDHE-{key}-AES128-SHA256", "AES128-GCM-SHA256", f"ECDHE-{key}-AES256-SHA"):
        with pytest.raises(ssl.SSLError):
            agreed(server, f"{old}:@SECLEVEL=0")


def test_one_ticket_is_enough() -> None:
    """OpenSSL would send two, and each of them is work for a caller who uses none."""
    assert new_context().num_tickets == TICKETS == 1
