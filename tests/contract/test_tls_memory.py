"""A certificate that is no longer served is gone when its last connection is."""

import contextlib
import gc
import ssl
import weakref
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.contract.client import trusting
from tests.contract.tls_directory import TlsDirectory
from webhook.metrics import Metrics
from webhook.tls_pair import TlsFiles
from webhook.tls_reload import POLL_SECONDS, ServingCertificate

SWAPS = 1000
WARM = 300  # what is allocated once, and what the allocator keeps for next time
GROWTH_BYTES = 1 << 20


@dataclass
class Handshake:
    """Both ends of a connection that exists in memory only."""

    server: ssl.SSLObject
    client: ssl.SSLObject


def shake_hands(certificate: ServingCertificate, trusted: ssl.SSLContext) -> Handshake:
    """Connect a client with what is served now."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusted.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert client.version() == server.version() == "TLSv1.3"
    return Handshake(server, client)


def link(folder: Path, name: str) -> None:
    """Have another directory be the one that is served from, which is quicker than writing."""
    (folder / "new").symlink_to(name)
    (folder / "new").rename(folder / "tls")


def resident_bytes() -> int:
    """Give the memory that this process uses."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096


def test_a_thousand_rotations_leave_nothing_behind(tmp_path: Path) -> None:
    """Each context is freed when another is served; what an open connection has stays with it."""
    directory = TlsDirectory(tmp_path / "0")
    for name in ("0", "1"):
        replace(directory, path=tmp_path / name).copy(directory.issue())
    link(tmp_path, "0")
    certificate = ServingCertificate(TlsFiles(tmp_path / "tls"), Metrics())
    certificate.load()
    trusted = trusting(directory.ca_file)
    kept = shake_hands(certificate, trusted)
    contexts: list[weakref.ref[ssl.SSLContext]] = []
    before = 0
    for number in range(1, SWAPS + 1):
        assert certificate.serving is not None
        contexts.append(weakref.ref(certificate.serving.context))
        link(tmp_path, str(number % 2))
        while certificate.look() != POLL_SECONDS:
            pass
        if number % 5 == 0:
            shake_hands(certificate, trusted)
        if number == WARM:
            before = resident_bytes()
    assert resident_bytes() - before < GROWTH_BYTES
    alive = [each() for each in contexts if each() is not None]
    assert alive == [kept.server.context] == [contexts[0]()]
    kept.server.write(b"still here")
    assert kept.client.read(100) == b"still here"
    del kept, alive
    gc.collect()
    assert contexts[0]() is None


@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
def test_a_thousand_looks_at_a_broken_pair_leave_nothing_behind(tmp_path: Path, name: str) -> None:
    """A pair that cannot be served is judged again and again, for as long as it is there."""
    directory = TlsDirectory(tmp_path / "tls")
    directory.copy(directory.issue())
    certificate = ServingCertificate(TlsFiles(directory.path), Metrics())
    certificate.load()
    (directory.path / name).write_bytes(directory.issue().files[name])
    before = 0
    for number in range(SWAPS):
        assert certificate.look() <= POLL_SECONDS
        if number == WARM:
            before = resident_bytes()
    assert resident_bytes() - before < GROWTH_BYTES
