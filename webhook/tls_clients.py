"""Who may ask for reviews, where clients need a certificate: those whose name we were told.

A CA that signs the API server's certificate has often signed many others, as the cluster's own has
for each kubelet. A client of another name gets an answer that says so, so that whoever configures
the API server finds the reason in its log.
"""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send

from webhook.exchange import error_body, receive_body, send_answer
from webhook.log import fields
from webhook.protocol import ConnectionProtocol
from webhook.seldom import Seldom
from webhook.settings import both
from webhook.wording import listed

logger = logging.getLogger("webhook")


def protocol_for(names: frozenset[str]) -> type[ConnectionProtocol]:
    """Give the protocol of a port that serves clients of these names; all, when there are none."""
    if not names:
        return ConnectionProtocol
    seldom = Seldom()

    class NamedClientProtocol(ConnectionProtocol):
        """A connection whose client is looked at once, when it is made."""

        def connection_made(  # type: ignore[override]  # as uvicorn's own
            self, transport: asyncio.Transport
        ) -> None:
            super().connection_made(transport)
            found = names_of_client(transport.get_extra_info("ssl_object").getpeercert())
            if names.isdisjoint(found):
                self.app = _Refusal(found)
                if seldom.allows("client"):
                    logger.warning("client refused", extra=fields(names=found))

    return NamedClientProtocol


def names_of_client(certificate: Mapping[str, Any]) -> list[str]:
    """List the common names and the DNS names of a certificate, as the ssl module shows it."""
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    others = certificate.get("subjectAltName", ())
    return [
        *(value for key, value in subject if key == "commonName"),
        *(value for key, value in others if key == "DNS"),
    ]


class _Refusal:
    """Answers each request of a client that is somebody else."""

    def __init__(self, names: list[str]) -> None:
        self._content = error_body(
            f"the client's certificate is for {listed(names) or 'no name'}; "
            f"present one that {both('client_name')} names"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if await receive_body(scope, receive, send) is not None:
            await send_answer(send, HTTPStatus.FORBIDDEN, self._content)
