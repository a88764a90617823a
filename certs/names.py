"""The names a serving certificate is valid for, checked before anything is signed."""

import ipaddress
import re
from dataclasses import dataclass

from certs.errors import NameUnusableError, quoted

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_LENGTH_LIMIT = 253  # RFC 1035: 255 octets on the wire, of which a name in text shows 253


@dataclass(frozen=True, slots=True)
class Names:
    """What clients may call the server: at least one DNS name or IP address."""

    dns: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()


def parse_dns_name(text: str) -> str:
    """Return the name in lower case; a wildcard may be the whole first label."""
    if _is_address(text):
        raise NameUnusableError(f"{quoted(text)} is an IP address; name it with --ip")
    if not text.isascii():
        raise NameUnusableError(f'{quoted(text)} is not ASCII; write it in its "xn--" form')
    name = text.lower()
    if len(name) > _DNS_LENGTH_LIMIT:
        raise NameUnusableError(
            f"a DNS name of {len(name)} characters; the limit is {_DNS_LENGTH_LIMIT}"
        )
    labels = name.removeprefix("*.").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise NameUnusableError(
            f'{quoted(text)} is not a DNS name; give one as in "vci-webhook.kube-system.svc"'
        )
    return name


def parse_address(text: str) -> Address:
    """Return the IPv4 or IPv6 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise NameUnusableError(
            f'{quoted(text)} is not an IP address; give one as in "127.0.0.1" or "::1",'
            " or a DNS name with --dns"
        ) from None
    if getattr(address, "scope_id", None):
        raise NameUnusableError(
            f"{quoted(text)} has a zone, which no certificate holds; leave it out"
        )
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
