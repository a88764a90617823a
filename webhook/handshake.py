"""Counts TLS handshakes: how many are under way, and what became of those that failed.

The event loop says nothing of a handshake that fails, to nobody. But it asks the context for the
object that shakes hands: so that object counts.
"""

import logging
import ssl
from typing import Any, Self

from webhook.log import fields
from webhook.seldom import Seldom

# Why one failed: the client does not trust our certificate, or we not its own; it knows no TLS, or
# none that we know; it left or was too slow; there were too many at once.
CAUSES = ("untrusted", "stranger", "broken", "unfinished", "crowd")

logger = logging.getLogger("webhook")


class Handshakes:
    """Those of one listener; more at once than the limit are refused."""

    def __init__(self, context: ssl.SSLContext, limit: int) -> None:
        self.pending = 0
        self.failed = dict.fromkeys(CAUSES, 0)
        self.limit = limit
        self._seldom = Seldom()
        context.sslobject_class = type("Handshake", (_Handshake,), {"counts": self})

    def over(self, cause: str) -> None:
        """Count the end of one; without a cause it is a good one."""
        self.pending -= 1
        if cause:
            self.failed[cause] += 1

    def refused(self, reason: str) -> None:
        """Say why a client was turned away, which it cannot see: the loop sends no alert."""
        if self._seldom.allows("client"):
            problem = reason.lower().replace("_", " ")
            logger.warning("client refused", extra=fields(problem=problem))


class _Handshake(ssl.SSLObject):
    """One of them, and later its connection."""

    counts: Handshakes
    _is_over = True  # until it has begun

    @classmethod
    def _create(cls, *arguments: Any, **options: Any) -> Self:
        """Begin; called for each connection that is accepted."""
        made: Self = super()._create(*arguments, **options)  # type: ignore[misc]  # not in typeshed
        made._is_over = False
        cls.counts.pending += 1
        return made

    def do_handshake(self) -> None:
        """Take the next step."""
        if self.counts.pending > self.counts.limit:
            self._end("crowd")
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "too many handshakes at once")
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            cause = _cause(error.reason or "")
            if cause == "stranger":
                self.counts.refused(error.reason)
            self._end(cause)
            raise
        self._end("")

    def _end(self, cause: str) -> None:
        if not self._is_over:
            self._is_over = True
            self.counts.over(cause)

    def __del__(self) -> None:
        """Count what came to no end."""
        self._end("unfinished")


def _cause(reason: str) -> str:
    """Tell whose trust is missing, if that is it, by OpenSSL's name for what went wrong."""
    if reason in _STRANGER:
        return "stranger"
    about_trust = "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason)
    return "untrusted" if about_trust else "broken"


_STRANGER = ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "CERTIFICATE_VERIFY_FAILED")
