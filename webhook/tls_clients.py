"""Who may ask for reviews, where clients need a certificate: those whose name we were told.

A CA that signs the API server's certificate has often signed many others, as the cluster's own has
for each kubelet. A client of another name gets an answer that says so, so that whoever configures
the API server finds the reason in its log.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from webhook.exchange import error_body, receive_body, send_answer
from webhook.limits import Place, Room
from webhook.log import fields
from webhook.protocol import Desk, ReviewProtocol
from webhook.seldom import Seldom
from webhook.settings import both
from webhook.wording import listed

logger = logging.getLogger("webhook")


class Clients:
    """The names, and what becomes of whoever has none of them."""

    def __init__(
        self,
        names: frozenset[str],
        room: Room,
        take_over: Callable[[asyncio.Transport, ASGIApp], object],
    ) -> None:
        self._names = names
        self._room = room
        self._take_over = take_over
        self._seldom = Seldom()

    def refuse(self, transport: asyncio.Transport) -> bool:
        """Look at the client of a new connection; tell whether it gets nothing but refusals."""
        found = names_of_client(transport.get_extra_info("ssl_object").getpeercert())
        if not self._names.isdisjoint(found):
            return False
        if self._seldom.allows("client"):
            logger.warning("client refused", extra=fields(names=found))
        self._take_over(transport, _Refusal(found, self._room))
        return True


class NamedClientProtocol(ReviewProtocol):
    """A connection whose client is looked at once, when it is made."""

    def __init__(self, desk: Desk, clients: Clients) -> None:
        super().__init__(desk)
        self._clients = clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Go on with a client of the right name."""
        if not self._clients.refuse(cast("asyncio.Transport", transport)):
            super().connection_made(transport)


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

    def __init__(self, names: list[str], room: Room) -> None:
        self._room = room
        self._content = error_body(
            f"the client's certificate is for {listed(names) or 'no name'}; "
            f"present one that {both('client_name')} names"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        with Place(self._room) as place:
            if await receive_body(scope, receive, send, place) is not None:
                await send_answer(send, HTTPStatus.FORBIDDEN, self._content)
