"""What can be told of a certificate: whose it is, who signed it, whether it is of use now."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from certs.issue import CA_NAME

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_FINGERPRINT_LENGTH = 16  # hexadecimal digits; enough to tell some CAs apart
_CHAIN_LIMIT = 5

Certificates = tuple[x509.Certificate, ...]


@lru_cache(maxsize=64)
def parse_certificates(content: bytes) -> Certificates:
    """Return every certificate in a PEM text; what cannot be read is left out."""
    found = (_parse(block) for block in _BLOCK.findall(content))
    return tuple(dict.fromkeys(certificate for certificate in found if certificate))


def _parse(block: bytes) -> x509.Certificate | None:
    try:
        certificate = x509.load_pem_x509_certificate(block)
        # These are read on demand, and a damaged one would raise where it is used.
        _ = certificate.extensions, certificate.subject, certificate.issuer
        certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return None
    return certificate


def encode_bundle(certificates: Iterable[x509.Certificate]) -> bytes:
    """Write certificates as PEM, always in the same order: the one that began first is first."""
    ordered = sorted(set(certificates), key=lambda c: (c.not_valid_before_utc, fingerprint(c)))
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in ordered)


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()[:_FINGERPRINT_LENGTH]


def describe(certificate: x509.Certificate) -> str:
    """Name a certificate for a person, without trusting what stands in it."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ours = [str(name.value) for name in names if str(name.value).startswith(CA_NAME)]
    text = ours[0].removeprefix(CA_NAME)[:8] if ours else fingerprint(certificate)[:8]
    return "".join(c if c.isalnum() else "?" for c in text)


def is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def is_key_of(key: bytes, certificate: x509.Certificate) -> bool:
    """Tell whether a PEM private key is the certificate's."""
    public = _public_bytes(key)
    own = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public == own


@lru_cache(maxsize=16)
def _public_bytes(key: bytes) -> bytes | None:
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may sign others."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def is_ours(certificate: x509.Certificate) -> bool:
    """Tell whether this program made a CA; only its own key can have signed that name."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    key = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    own_name = CA_NAME + key.digest.hex()[:8]
    return (
        is_authority(certificate)
        and [name.value for name in names] == [own_name]
        and is_signed_by(certificate, certificate)
    )


@lru_cache(maxsize=256)
def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def find_anchors(chain: Certificates, candidates: Iterable[x509.Certificate]) -> Certificates:
    """Return the candidates to which a chain leads, its leaf first and its CAs in any order."""
    tip, found = chain[0], [*candidates]
    for _ in range(_CHAIN_LIMIT):
        if anchors := tuple(each for each in found if is_signed_by(tip, each)):
            return anchors
        above = [each for each in chain[1:] if each != tip and is_signed_by(tip, each)]
        if not above:
            return ()
        tip = above[0]
    return ()


def lacking_names(certificate: x509.Certificate, wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the DNS names for which a certificate is not valid."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        there = set(extension.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        there = set()
    return tuple(name for name in wanted if name not in there)
