"""Whether a bundle vouches for a certificate, as the API server would say; and why not."""

import datetime as dt
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.issue import issue_ca, issue_serving
from certs.names import Names
from tests.unit.observations import DAY, FOREIGN, NOW, authority, pair
from webhook import certificates

HOST = "vci-webhook.vci-webhook.svc"
CA = authority()
SERVING = pair(CA)
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "middle", "leaf")}
SERVER_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CLIENT_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


def sign(
    subject: str, issuer: str, *extensions: x509.ExtensionType, days: float = 10
) -> x509.Certificate:
    """Make a certificate with nothing but these extensions, as people do by hand."""
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (subject, issuer)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(KEYS[subject].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 100 * DAY)
        .not_valid_after(NOW + days * DAY)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEYS[issuer], hashes.SHA256())


AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)
FOR_HOST = x509.SubjectAlternativeName([x509.DNSName(HOST)])
ROOT = sign("root", "root", AUTHORITY)
MIDDLE = sign("middle", "root", AUTHORITY)
LEAF = sign("leaf", "middle", FOR_HOST)


def read(pem: bytes) -> x509.Certificate:
    """Read one certificate."""
    (found,) = certificates.read_certificates(pem)
    return found


def why(
    chain: list[x509.Certificate], bundle: list[x509.Certificate], now: dt.datetime = NOW
) -> str:
    """Say why a client with this bundle does not trust a chain."""
    return certificates.why_untrusted(chain, bundle, HOST, now)


def test_what_the_certs_program_issues_is_trusted() -> None:
    """By its own CA, also among others, and by no other alone."""
    leaf, ca, foreign = map(read, (SERVING.certificate, CA.certificate, FOREIGN.certificate))
    assert why([leaf], [ca]) == ""
    assert why([leaf], [foreign, ca]) == ""
    assert why([leaf], [foreign]).startswith('its issuer is "vci-webhook CA ')
    assert why([leaf], []) == "there is no CA in it"


def test_what_people_make_by_hand_is_trusted_as_go_does() -> None:
    """A CA without key usage or identifiers is one; so is a self-signed certificate itself."""
    assert why([LEAF, MIDDLE], [ROOT]) == ""
    assert why([LEAF], [MIDDLE]) == ""
    itself = sign("leaf", "leaf", FOR_HOST, AUTHORITY)
    assert why([itself], [itself]) == ""


def test_a_chain_must_be_whole() -> None:
    """Without the certificate in between, nobody knows who signed."""
    assert why([LEAF], [ROOT]) == 'its issuer is "middle", and the bundle has "root"'
    assert why([LEAF, ROOT], [ROOT]) == 'its issuer is "middle", and the bundle has "root"'
    assert why([LEAF, MIDDLE], [read(CA.certificate)]).startswith('its issuer is "root", and')


def test_an_authority_of_the_same_name_is_not_the_same() -> None:
    """As after a CA was made anew under its old name."""
    other = sign("root", "root", AUTHORITY)
    assert why([LEAF, MIDDLE], [other]) == ""  # the same key: both are that CA
    KEYS["root"], kept = ec.generate_private_key(ec.SECP256R1()), KEYS["root"]
    impostor = sign("root", "root", AUTHORITY)
    KEYS["root"] = kept
    assert why([LEAF, MIDDLE], [impostor]) == (
        'the CA "root" in the bundle has another key than the one that signed'
    )


def test_an_authority_that_is_none_or_no_longer_one() -> None:
    """What may not sign, and what has expired, vouches for nobody."""
    plain = sign("middle", "middle", x509.BasicConstraints(ca=False, path_length=None))
    assert "cA must be asserted" in why([LEAF], [plain])
    expired = sign("root", "root", AUTHORITY, days=-1)
    assert why([LEAF, MIDDLE], [expired]) == (
        'the CA "root" in the bundle is expired at 2026-11-23 12:00 UTC'
    )


def test_authorities_that_sign_each_other_have_an_end() -> None:
    """A circle is followed once."""
    back = sign("root", "middle", AUTHORITY)
    forth = sign("middle", "root", AUTHORITY)
    assert why([LEAF, forth, back, forth], [read(FOREIGN.certificate)]) != ""


def test_what_is_not_for_servers_is_not_trusted() -> None:
    """Extended key usage says what for; without any it is for everything."""
    assert why([sign("leaf", "root", FOR_HOST, SERVER_AUTH)], [ROOT]) == ""
    told = why([sign("leaf", "root", FOR_HOST, CLIENT_AUTH)], [ROOT])
    assert told == "it is not for servers, says its extended key usage"


def test_name_and_validity_are_judged_by_themselves() -> None:
    """Whether the bundle is right is told all the same."""
    other = sign("leaf", "root", x509.SubjectAlternativeName([x509.DNSName("*.example.com")]))
    assert why([other], [ROOT]) == ""
    assert why([sign("leaf", "root")], [ROOT]) == ""
    assert why([LEAF], [MIDDLE], NOW + 90 * DAY) == ""


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("a.example.com", True),
        ("A.EXAMPLE.COM", True),
        ("b.wild.example.com", True),
        ("c.b.wild.example.com", False),
        ("wild.example.com", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("::1", True),
    ],
)
def test_names(host: str, covered: bool) -> None:  # noqa: FBT001 - a column of the table
    """A wildcard is one whole label; an address is an address."""
    names = Names(
        ("a.example.com", "*.wild.example.com"), (ip_address("127.0.0.1"), ip_address("::1"))
    )
    leaf = read(issue_serving(CA, names, NOW).certificate)
    assert certificates.covers(leaf, host) is covered


def test_a_common_name_is_not_a_name() -> None:
    """No client has looked at it for years."""
    nameless = sign("leaf", "root")
    assert certificates.names_of(nameless) == ()
    assert not certificates.covers(nameless, "leaf")


def test_keys() -> None:
    """Each thing that can be wrong with a key is told apart."""
    leaf = read(SERVING.certificate)
    assert certificates.why_no_key(SERVING.key, leaf) == ""
    assert certificates.why_no_key(CA.key, leaf) == "its key does not belong to its certificate"
    assert certificates.why_no_key(b"x", leaf) == "its key is not a PEM private key"
    encrypted = load_pem_private_key(SERVING.key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    assert certificates.why_no_key(encrypted, leaf) == "its key is encrypted"


def test_one_bad_certificate_spoils_the_bundle() -> None:
    """As it does where the API server reads it."""
    whole = CA.certificate + FOREIGN.certificate
    assert len(certificates.read_certificates(whole)) == 2
    assert certificates.read_certificates(whole.replace(b"MII", b"MIJ", 1)) == ()
    assert certificates.read_certificates(b"") == ()


def test_time_left() -> None:
    """Days, and hours towards the end; the last quarter is soon, of long lives the last month."""
    leaf, ca = read(SERVING.certificate), read(issue_ca(NOW).certificate)
    assert certificates.left(leaf, NOW) == "30 days left"
    assert certificates.left(leaf, NOW + 28.5 * DAY) == "36.0 hours left"
    assert not certificates.ends_soon(leaf, NOW + 22 * DAY)
    assert certificates.ends_soon(leaf, NOW + 23 * DAY)
    assert not certificates.ends_soon(ca, NOW + 690 * DAY)
    assert certificates.ends_soon(ca, NOW + 701 * DAY)


def test_a_subject_without_a_common_name_is_shown_whole() -> None:
    """And nothing in it can steer a terminal."""
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a\x1b[2J")])
    assert certificates.common_name(name) == "O=a?[2J"
