"""The port on which the certificate program answers probes."""

import urllib.request

import pytest

from certs.health import Health, serving


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]"), ("::", "127.0.0.1")],
)
def test_probes_are_answered_on_either_family(host: str, url: str) -> None:
    """With ``::`` it listens on IPv6 and IPv4, as the server does."""
    with serving(host, 0, Health(), bytes) as port:
        answer = urllib.request.urlopen(f"http://{url}:{port}/healthz", timeout=5)
        with answer:
            assert answer.read() == b"ok\n"
