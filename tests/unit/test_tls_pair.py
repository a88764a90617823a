"""Whatever stands in the files, it is a pair that can be served or a sentence about it."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.issue import issue_ca, issue_serving
from certs.names import Names
from webhook.errors import SettingsError
from webhook.tls import load_serving
from webhook.tls_pair import Material, TlsFiles

NOW = datetime(2031, 3, 14, 15, 9, 26, tzinfo=UTC)
HOST = "vci-webhook.vci-webhook.svc"
CA = issue_ca(NOW)
GOOD = issue_serving(CA, Names(dns=(HOST,)), NOW)
FILES = TlsFiles(Path("/etc/vci-webhook/tls"), HOST)
DER = ssl.PEM_cert_to_DER_cert(GOOD.certificate.decode())

damage = st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255))


def judge(material: Material) -> str:
    """Say what is wrong; empty when nothing is."""
    try:
        FILES.check(material, NOW)
    except SettingsError as error:
        return str(error)
    return ""


def test_a_good_pair_is_good() -> None:
    """What the certificate program signs for the Service can be served."""
    assert judge(Material(GOOD.certificate, GOOD.key)) == ""


@pytest.mark.filterwarnings("ignore")  # of cryptography, about what it accepts all the same
@given(damages=st.lists(damage, min_size=1, max_size=4))
def test_a_damaged_certificate_is_a_sentence_or_still_good(damages: list[tuple[int, int]]) -> None:
    """No byte in a certificate makes the judge fail; where its signature is wrong, clients see."""
    der = bytearray(DER)
    for place, value in damages:
        der[place] = value
    said = judge(Material(ssl.DER_cert_to_PEM_cert(bytes(der)).encode(), GOOD.key))
    assert said == "" or said.startswith("--tls-dir (VCI_WEBHOOK_TLS_DIR): /etc/vci-webhook/tls/")
    assert "\n" not in said


@given(certificate=st.binary(max_size=200), key=st.binary(max_size=200))
def test_rubbish_is_a_sentence(certificate: bytes, key: bytes) -> None:
    """Neither file can be anything that the judge does not survive."""
    assert judge(Material(certificate, GOOD.key)).endswith("-----BEGIN CERTIFICATE-----")
    assert "its key is not a PEM private key" in judge(Material(GOOD.certificate, key))


@pytest.mark.parametrize("count", [1, 5, 6, 1000])
def test_the_names_that_are_covered_are_listed(count: int) -> None:
    """A few of them tell whose certificate it is; a thousand would hide what is wrong."""
    names = [f"host-{number}.example" for number in range(count)]
    other = issue_serving(CA, Names(dns=tuple(names)), NOW)
    shown = ", ".join(f'"{name}"' for name in names[:5]) + (f" and {count - 5} more" * (count > 5))
    assert f"covers {shown}, not" in judge(Material(other.certificate, other.key))


def test_a_pair_that_openssl_refuses_is_a_sentence(tmp_path: Path) -> None:
    """OpenSSL has the last word about what it can serve: here a chain that ends in the middle."""
    files = TlsFiles(tmp_path, HOST)
    (tmp_path / "tls.crt").write_bytes(GOOD.certificate + CA.certificate[:200])
    (tmp_path / "tls.key").write_bytes(GOOD.key)
    with pytest.raises(SettingsError, match=r"the pair cannot be loaded \(.*\); issue a new one"):
        load_serving(files, files.read(), NOW)
