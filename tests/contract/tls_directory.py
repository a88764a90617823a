"""A directory with a serving certificate, and every way in which somebody writes a new one."""

import datetime as dt
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from cryptography import x509

from tests.cluster.node.directory import File, write_directory
from tests.contract.client import Connection

NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Pair:
    """What stands in the two files."""

    certificate: bytes
    key: bytes

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that is presented."""
        return x509.load_pem_x509_certificates(self.certificate)[0]

    @property
    def serial(self) -> int:
        """Tell the certificate from all others."""
        return self.leaf.serial_number

    @property
    def files(self) -> dict[str, bytes]:
        """The two, as the Secret names them."""
        return {"tls.crt": self.certificate, "tls.key": self.key}


@dataclass
class TlsDirectory:
    """The directory, and the CA that signs what is put there."""

    path: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    @property
    def ca_file(self) -> Path:
        """The CA, beside the directory: nothing in there is ours alone."""
        file = self.path.parent / "ca.crt"
        if not file.exists():
            self.ca.cert_pem.write_to_path(file)
        return file

    def issue(
        self,
        *names: str,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        key_type: trustme.KeyType = trustme.KeyType.ECDSA,
    ) -> Pair:
        """Sign a certificate, for loopback unless told."""
        leaf = self.ca.issue_cert(
            *(names or NAMES), not_before=not_before, not_after=not_after, key_type=key_type
        )
        return Pair(leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())

    def copy(self, pair: Pair) -> None:
        """Write one file after the other in place, as ``cp`` does."""
        self.path.mkdir(exist_ok=True)
        for name, content in pair.files.items():
            (self.path / name).write_bytes(content)

    def move(self, pair: Pair) -> None:
        """Replace each file by a rename, as careful programs do."""
        self.path.mkdir(exist_ok=True)
        for name, content in pair.files.items():
            new = self.path / f".{name}.new"
            new.write_bytes(content)
            new.rename(self.path / name)

    def swap(self, pair: Pair) -> None:
        """Write all at once, as the kubelet does with a volume."""
        write_directory(self.path, {name: File(content) for name, content in pair.files.items()})


def presented(connection: Connection) -> int:
    """Give the serial number of the certificate that a connection began with."""
    assert isinstance(connection.socket, ssl.SSLSocket)
    der = connection.socket.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number
