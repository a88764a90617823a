"""Counts TLS handshakes: how many are under way, and what became of those that failed.

The event loop says nothing of a handshake that fails, to nobody. But it asks the context for the
object that shakes hands: so that object counts.
"""

import ssl
from typing import Any, Self

# Why one failed: the client does not trust our certificate; it knows no TLS, or none that we know;
# it left or was too slow; there were too many at once.
CAUSES = ("untrusted", "broken", "unfinished", "crowd")


class Handshakes:
    """Those of one listener; more at once than the limit are refused."""

    def __init__(self, context: ssl.SSLContext, limit: int) -> None:
        self.pending = 0
        self.failed = dict.fromkeys(CAUSES, 0)
        self.limit = limit
        context.sslobject_class = type("Handshake", (_Handshake,), {"counts": self})

    def over(self, cause: str) -> None:
        """Count the end of one; without a cause it is a good one."""
        self.pending -= 1
        if cause:
            self.failed[cause] += 1


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
            self._end("untrusted" if _is_about_trust(error.reason or "") else "broken")
            raise
        self._end("")

    def _end(self, cause: str) -> None:
        if not self._is_over:
            self._is_over = True
            self.counts.over(cause)

    def __del__(self) -> None:
        """Count what came to no end."""
        self._end("unfinished")


def _is_about_trust(reason: str) -> bool:
    """Tell whether the client refused our certificate, by OpenSSL's name for its alert."""
    return "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason)
