"""How long to wait before the API server is asked again; clock and chance are parameters."""

from dataclasses import dataclass

from webhook.errors import Cause, ClusterError

# A failure longer ago than this belongs to another story: the waiting starts short again.
FORGET_SECONDS = 120.0
# A header that asks for more is a mistake, and hours without news are worse than one request.
RETRY_AFTER_LIMIT = 60.0
_DOUBLINGS = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """The longest wait after the first failure, and after many."""

    first: float
    longest: float


PACES = {
    # Asking in vain costs nobody anything, and who comes back should not be kept waiting.
    Cause.UNREACHABLE: Pace(0.1, 1.0),
    Cause.SILENT: Pace(0.0, 0.0),  # it took long enough already
    Cause.UNAVAILABLE: Pace(0.8, 30.0),
    Cause.DENIED: Pace(0.8, 10.0),
    Cause.UNTRUSTED: Pace(0.8, 10.0),
    Cause.EXPIRED: Pace(0.8, 30.0),
    Cause.GARBLED: Pace(0.8, 30.0),
    Cause.BUG: Pace(0.8, 30.0),
}


class Backoff:
    """Doubles the wait with each failure of one cause, and draws it by lot below that.

    Each cause counts for itself: an API server that was away for minutes and now says 503 for a
    moment is asked again soon. Replicas that failed together do not come back together.
    """

    def __init__(self) -> None:
        self._failures: dict[Cause, tuple[int, float]] = {}

    def pause(self, error: ClusterError, now: float, chance: float) -> float:
        """Say how many seconds to wait; ``chance`` is drawn evenly from 0 to 1."""
        count, last = self._failures.get(error.cause, (0, now))
        if now - last > FORGET_SECONDS:
            count = 0
        self._failures[error.cause] = count + 1, now
        pace = PACES[error.cause]
        longest = min(pace.longest, pace.first * 2.0 ** min(count, _DOUBLINGS))
        return min(error.retry_after_seconds, RETRY_AFTER_LIMIT) + chance * longest
