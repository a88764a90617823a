"""A CA and the serving certificates that it signs: bytes in, bytes out.

ECDSA P-256 with SHA-256 throughout. The clock is a parameter, and so is what makes a key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.errors import AuthorityUnusableError
from certs.names import Names

Key = ec.EllipticCurvePrivateKey
NewKey = Callable[[], Key]

CA_LIFETIME = timedelta(days=2 * 365)  # long enough to rotate by hand once a year and be late
SERVING_LIFETIME = timedelta(days=30)  # a key that leaks is worth little for long
BACKDATED = timedelta(hours=1)  # clocks of nodes differ; a certificate from the future is refused
CA_NAME = "vci-webhook CA "  # the beginning of the common name of every CA of ours


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """For how long a certificate is valid: from a little before it is made."""

    lifetime: timedelta
    backdated: timedelta = BACKDATED


CA_SPAN = Span(CA_LIFETIME)
SERVING_SPAN = Span(SERVING_LIFETIME)


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def issue_ca(now: datetime, span: Span = CA_SPAN, new_key: NewKey = new_key) -> Pair:
    """Make a CA that can sign serving certificates, and nothing else below it."""
    key = new_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # Two CAs are trusted side by side while one follows the other; a person must tell them apart.
    subject = _common_name(CA_NAME + identifier.digest.hex()[:8])
    builder = (
        _builder(key, subject, subject, now - span.backdated, now + span.lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_authority(identifier), critical=False)
    )
    return _sign(builder, key, key)


def issue_serving(
    ca: Pair,
    names: Names,
    now: datetime,
    span: Span = SERVING_SPAN,
    new_key: NewKey = new_key,
) -> Pair:
    """Make a serving certificate for the names; it never outlives the CA."""
    authority, authority_key = _load(ca, now)
    key = new_key()
    builder = (
        _builder(
            key,
            _common_name("vci-webhook"),
            authority.subject,
            max(now - span.backdated, authority.not_valid_before_utc),
            min(now + span.lifetime, authority.not_valid_after_utc),
        )
        .add_extension(_alternative_names(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_authority(_identifier(authority)), critical=False)
    )
    return _sign(builder, key, authority_key)


def valid_until(certificate: bytes) -> datetime:
    """Return the last second in which a PEM certificate is valid."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def _builder(
    key: Key, subject: x509.Name, issuer: x509.Name, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: Key, authority_key: Key) -> Pair:
    certificate = builder.sign(authority_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(pem), private)


def _load(ca: Pair, now: datetime) -> tuple[x509.Certificate, Key]:
    try:
        certificate = x509.load_pem_x509_certificate(ca.certificate)
        key = serialization.load_pem_private_key(ca.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AuthorityUnusableError("the CA is not a PEM pair; issue a new one") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or (
        key.public_key() != certificate.public_key()
    ):
        raise AuthorityUnusableError("the CA's key is not its certificate's; issue a new CA")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise AuthorityUnusableError(
            f"the CA is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to"
            f" {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, not now; issue a new CA"
        )
    return certificate, key


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative_names(names: Names) -> x509.SubjectAlternativeName:
    dns = [x509.DNSName(name) for name in dict.fromkeys(names.dns)]
    addresses = [x509.IPAddress(address) for address in dict.fromkeys(names.addresses)]
    return x509.SubjectAlternativeName([*dns, *addresses])


def _identifier(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value


def _authority(identifier: x509.SubjectKeyIdentifier) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
