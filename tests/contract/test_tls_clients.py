"""With ``--client-ca``, nobody is answered who has no certificate of that CA."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.contract.client import Connection, trusting
from tests.contract.reviews import encoded
from tests.contract.serving import (
    Files,
    ServerThread,
    run_command,
    serve_process,
    serve_thread,
    wait_until,
)
from tests.contract.tls_directory import TlsDirectory
from webhook.tls_pair import TlsFiles

POLL_SECONDS = 0.02
API_SERVER = "kube-apiserver-webhook-client"


@pytest.fixture
def client_ca() -> trustme.CA:
    """The CA that signs the API server's certificate."""
    return trustme.CA()


@pytest.fixture
def client_ca_file(client_ca: trustme.CA, tmp_path: Path) -> Path:
    """That CA's certificate, as the server is given it."""
    client_ca.cert_pem.write_to_path(tmp_path / "clients.crt")
    return tmp_path / "clients.crt"


@pytest.fixture(params=[frozenset(), frozenset({API_SERVER, "another"})], ids=["any", "named"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, client_ca_file: Path
) -> Iterator[ServerThread]:
    """A server that wants a certificate: of any name, or of one of two."""
    directory = TlsDirectory(tmp_path / "tls")
    directory.copy(directory.issue())
    files = TlsFiles(directory.path, "localhost", client_ca_file, request.param)
    with serve_thread(files, directory.ca_file, POLL_SECONDS) as running:
        yield running


def connect(server: ServerThread, certificate: trustme.LeafCert | None) -> Connection:
    """Connect, presenting a certificate or none."""
    context = trusting(server.ca)
    if certificate is not None:
        with certificate.private_key_and_cert_chain_pem.tempfile() as file:
            context.load_cert_chain(file)
    return Connection(server.url, context)


def is_let_in(server: ServerThread, certificate: trustme.LeafCert | None) -> bool:
    """Tell whether a client with this certificate is answered."""
    try:
        with connect(server, certificate) as connection:
            return connection.post(encoded()).status == 200
    except (ssl.SSLError, ConnectionError):
        return False


def test_the_api_server_is_let_in(server: ServerThread, client_ca: trustme.CA) -> None:
    """A certificate of the CA with the right common name or DNS name is all it takes."""
    assert is_let_in(server, client_ca.issue_cert("host.example", common_name=API_SERVER))
    assert is_let_in(server, client_ca.issue_cert(API_SERVER))


def test_strangers_are_not(server: ServerThread, client_ca: trustme.CA) -> None:
    """No certificate, another CA's, one that has expired: not a byte of an answer."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired = client_ca.issue_cert(API_SERVER, not_after=yesterday)
    assert not is_let_in(server, None)
    assert not is_let_in(server, trustme.CA().issue_cert(API_SERVER))
    assert not is_let_in(server, expired)
    assert server.probe("/readyz").status == 200  # as a kubelet, which has none, asks
    assert is_let_in(server, client_ca.issue_cert(API_SERVER))


def test_why_a_stranger_is_refused_is_logged(
    server: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    """The client cannot see the reason, so the log has it: seldom, and the metric has each."""
    for certificate in (None, trustme.CA().issue_cert(API_SERVER), None):
        assert not is_let_in(server, certificate)
    failures = "tls_handshake_failures_total"
    wait_until(lambda: server.metric(failures, cause="stranger") == 3, "the count")
    refusals = [each for each in caplog.records if each.message == "client refused"]
    assert [each.__dict__["fields"] for each in refusals] == [
        {"problem": "peer did not return a certificate"}
    ]


def test_another_name_is_told_so(
    tmp_path: Path, client_ca: trustme.CA, client_ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A kubelet's certificate of the same CA gets 403, whatever it asks and however often."""
    directory = TlsDirectory(tmp_path / "tls")
    directory.copy(directory.issue())
    files = TlsFiles(directory.path, "localhost", client_ca_file, frozenset({API_SERVER}))
    kubelet = client_ca.issue_cert("node-1", common_name="system:node:node-1")
    with (
        serve_thread(files, directory.ca_file) as server,
        connect(server, kubelet) as connection,
    ):
        for _ in range(2):
            refused = connection.post(encoded())
            assert refused.status == 403
            assert refused.error.startswith(
                'the client\'s certificate is for "system:node:node-1", "node-1"; present one'
            )
        assert connection.post(b"x" * 100_000).status == 403
        assert connection.request("GET", "/nothing").status in {403, 405, 415}
    refusals = [each for each in caplog.records if each.message == "client refused"]
    assert [each.__dict__["fields"] for each in refusals] == [
        {"names": ["system:node:node-1", "node-1"]}
    ]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_is_judged_in_each_handshake(
    server: ServerThread, client_ca: trustme.CA, version: ssl.TLSVersion
) -> None:
    """No session is resumed: it would let in again who is no longer trusted. TLS 1.2 would."""
    context = trusting(server.ca)
    context.minimum_version = context.maximum_version = version
    with client_ca.issue_cert(API_SERVER).private_key_and_cert_chain_pem.tempfile() as file:
        context.load_cert_chain(file)
    if version is ssl.TLSVersion.TLSv1_2:
        with pytest.raises(ssl.SSLError):
            Connection(server.url, context)
        return
    with Connection(server.url, context) as connection:
        connection.post(encoded())
        assert isinstance(connection.socket, ssl.SSLSocket)
        session = connection.socket.session
        assert session is None or not session.has_ticket


def test_the_ca_is_reloaded(
    server: ServerThread, client_ca: trustme.CA, client_ca_file: Path
) -> None:
    """A new CA counts from the next handshake on; two side by side are both trusted."""
    successor = trustme.CA()
    old, new = client_ca.issue_cert(API_SERVER), successor.issue_cert(API_SERVER)
    with connect(server, old) as connection:
        client_ca_file.write_bytes(client_ca.cert_pem.bytes() + successor.cert_pem.bytes())
        wait_until(lambda: is_let_in(server, new), "the second CA")
        assert is_let_in(server, old)
        successor.cert_pem.write_to_path(client_ca_file)
        wait_until(lambda: not is_let_in(server, old), "the end of the first CA")
        assert is_let_in(server, new)
        assert connection.post(encoded()).status == 200


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_broken_ca_changes_nothing(
    server: ServerThread, client_ca: trustme.CA, client_ca_file: Path, content: bytes | None
) -> None:
    """A file without a certificate, or none, keeps the CA before it, and raises the alarm."""
    if content is None:
        client_ca_file.unlink()
    else:
        client_ca_file.write_bytes(content)
    rejected = "vci_webhook_tls_certificate_rejected"
    wait_until(lambda: server.metrics.registry.get_sample_value(rejected) == 1, "the alarm")
    assert is_let_in(server, client_ca.issue_cert(API_SERVER))
    assert not is_let_in(server, None)


def test_the_command_takes_a_ca_and_names(
    files: Files, tmp_path: Path, client_ca: trustme.CA, client_ca_file: Path
) -> None:
    """Both are flags of ``serve``."""
    flags = f"--client-ca={client_ca_file}", f"--client-name={API_SERVER}, another"
    with serve_process(files, tmp_path / "log", *flags) as process:
        certificate = client_ca.issue_cert("another")
        context = trusting(process.ca)
        with certificate.private_key_and_cert_chain_pem.tempfile() as file:
            context.load_cert_chain(file)
        with Connection(process.url, context) as connection:
            assert connection.post(encoded()).status == 200


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--client-name=x", "--client-ca (VCI_WEBHOOK_CLIENT_CA): missing; name the CA"),
        ("--client-ca=/nowhere", "--client-ca (VCI_WEBHOOK_CLIENT_CA): /nowhere: cannot be read"),
        ("--client-ca=/dev/null", "(VCI_WEBHOOK_CLIENT_CA): /dev/null: not a PEM certificate"),
        ("--client-name=a,,b", '"a,,b" is not a list of names; write commas between them'),
    ],
)
def test_flags_that_make_no_sense(files: Files, flag: str, told: str) -> None:
    """What is wrong is said before anything listens."""
    ended = run_command("serve", *files.flags(), flag)
    assert ended.returncode == 2
    assert told in ended.stderr
