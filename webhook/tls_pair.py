"""What TLS is served with, as files: read, and judged before any connection depends on it.

Whatever is wrong is a SettingsError that names the file, so that the log, the command line and
``/readyz`` all say the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from webhook.certificates import covers, names_of, read_certificates, why_no_key, why_not_now
from webhook.errors import SettingsError
from webhook.files import read_file
from webhook.settings import both
from webhook.wording import listed, quoted

CERTIFICATE_FILE = "tls.crt"  # the names of a Secret of type kubernetes.io/tls
KEY_FILE = "tls.key"

_NAMES_SHOWN = 5  # of a certificate for very many; the first tell whose it is
_NOT_PEM = "not a PEM certificate; the file begins with -----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Material:
    """A certificate chain, its key and the CA of clients, as they stood in files at one moment."""

    certificate: bytes
    key: bytes
    client_ca: bytes = b""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where these are, and what is asked of them.

    The certificate must cover ``name``, and a client's certificate have one of ``client_names``;
    when there is none, any will do.
    """

    directory: Path
    name: str = ""
    client_ca: Path | None = None
    client_names: frozenset[str] = frozenset()

    @property
    def where(self) -> str:
        """Name the directory in an error."""
        return f"{both('tls_dir')}: {self.directory}"

    def read(self) -> Material:
        """Read what stands in the files now."""
        if not self.directory.is_dir():
            raise SettingsError(
                f"{self.where}: not a directory; name the one that holds {CERTIFICATE_FILE} "
                f"and {KEY_FILE}"
            )
        where = both("tls_dir")
        return Material(
            read_file(self.directory / CERTIFICATE_FILE, where),
            read_file(self.directory / KEY_FILE, where),
            b"" if self.client_ca is None else read_file(self.client_ca, both("client_ca")),
        )

    def check(self, material: Material, now: datetime) -> x509.Certificate:
        """Give the certificate if it can be served; SettingsError when it cannot be."""
        if self.client_ca is not None and not read_certificates(material.client_ca):
            raise SettingsError(f"{both('client_ca')}: {self.client_ca}: {_NOT_PEM}")
        chain = read_certificates(material.certificate)
        wrong = next(self._wrong(material.key, chain[0], now), "") if chain else _NOT_PEM
        if wrong:
            raise SettingsError(f"{self.where}/{CERTIFICATE_FILE}: {wrong}")
        return chain[0]

    def _wrong(self, key: bytes, leaf: x509.Certificate, now: datetime) -> Iterator[str]:
        """Say what is wrong with a certificate, the first thing first."""
        if why := why_no_key(key, leaf):
            yield f"{why}; give {KEY_FILE} of the same pair, in PEM and without a password"
        if why := why_not_now(leaf, now):
            yield f"{why}; issue a new one, or check this machine's clock"
        if self.name and not covers(leaf, self.name):
            yield (
                f"covers {listed(names_of(leaf), _NAMES_SHOWN) or 'no name'}, "
                f"not {quoted(self.name)}; issue one for it, or name the Service in "
                f"{both('service_name')}"
            )
