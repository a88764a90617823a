"""Which names a certificate can be asked for, and what is said about the others."""

import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.errors import NameUnusableError
from certs.names import parse_address, parse_dns_name

EDGES = string.ascii_lowercase + string.digits
LABELS = st.builds("".join, st.tuples(st.sampled_from("abcxyz"), st.text(EDGES + "-", max_size=20)))
ANY_TEXT = st.text(max_size=300) | st.text(string.ascii_letters + ".-*0123456789", max_size=300)


@given(st.lists(LABELS, min_size=1, max_size=8), st.booleans())
def test_kubernetes_names_are_accepted_in_lower_case(labels: list[str], wild: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    """Every name a Service can have is accepted, whatever its case, also below a wildcard."""
    labels = [label.rstrip("-") for label in labels]
    name = ".".join(["*", *labels] if wild else labels)
    assert parse_dns_name(name) == name
    assert parse_dns_name(name.upper()) == name


@given(ANY_TEXT)
def test_any_text_is_a_name_or_a_clear_refusal(text: str) -> None:
    """No text gets past the check with anything else, and a refusal is one line with a remedy."""
    try:
        name = parse_dns_name(text)
    except NameUnusableError as error:
        refusal = str(error)
        assert refusal.isprintable()
        assert "; " in refusal
        assert len(refusal) < 250
    else:
        assert name == text.lower()
        assert len(name) <= 253
        assert set(name) <= set(EDGES + ".-*")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", '"" is not a DNS name'),
        ("a..svc", "is not a DNS name"),
        ("svc.", "is not a DNS name"),
        ("-a.svc", "is not a DNS name"),
        ("a_b.svc", "is not a DNS name"),
        ("a.*.svc", "is not a DNS name"),
        ("*", "is not a DNS name"),
        ("https://a.svc", "is not a DNS name"),
        ("1.2.3.4.5", "is not a DNS name"),
        ("a" * 64, "is not a DNS name"),
        ("a\nb", '"a?b" is not a DNS name'),
        ("127.0.0.1", "is an IP address; name it with --ip"),
        ("::1", "is an IP address; name it with --ip"),
        ("bücher.svc", 'is not ASCII; write it in its "xn--" form'),
        ("\N{KELVIN SIGN}.svc", "is not ASCII"),
        (".".join(["a" * 50] * 6), "a DNS name of 305 characters; the limit is 253"),
    ],
)
def test_what_is_no_dns_name_is_refused(text: str, said: str) -> None:
    """A refusal says what is wrong with the name."""
    with pytest.raises(NameUnusableError) as refusal:
        parse_dns_name(text)
    assert said in str(refusal.value)


@given(st.ip_addresses())
def test_addresses_are_accepted(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Every IPv4 and IPv6 address is accepted."""
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", '"" is not an IP address'),
        ("127.0.0", "is not an IP address"),
        ("10.0.0.0/8", "is not an IP address"),
        ("a.svc", "or a DNS name with --dns"),
        ("[::1]", "is not an IP address"),
        ("fe80::1%eth0", "has a zone"),
    ],
)
def test_what_is_no_address_is_refused(text: str, said: str) -> None:
    """A refusal says what is wrong with the address."""
    with pytest.raises(NameUnusableError) as refusal:
        parse_address(text)
    assert said in str(refusal.value)
