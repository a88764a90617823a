"""The flags of ``serve`` for whoever has very much to do, or meets somebody who misbehaves."""

from collections.abc import Callable
from typing import Any, TypeVar

from webhook.cli.options import COUNT, SECONDS, Kind, option, reader_of
from webhook.log import LOG_FORMATS, LOG_LEVELS
from webhook.settings import Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _one_of(choices: tuple[str, ...], what: str) -> Kind:
    """Make the kind of a value that is one of a few words."""
    words = "|".join(choices)
    return Kind(words, reader_of(words, 8), f"a {what}; give one of {', '.join(choices)}")


LOG_FORMAT = _one_of(LOG_FORMATS, "log format")
LOG_LEVEL = _one_of(LOG_LEVELS, "log level")


def _all_of(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Declare several flags, in the order in which the help is to show them."""

    def declare(command: _Command) -> _Command:
        for declared in reversed(options):
            command = declared(command)
        return command

    return declare


limit_options = _all_of(
    option(
        "--request-seconds",
        type=SECONDS,
        default=Settings.request_seconds,
        help="A request that has not arrived by then is cut off.",
    ),
    option(
        "--max-connections",
        type=COUNT,
        default=Settings.max_connections,
        help="Beyond, those that were idle for longest are closed.",
    ),
    option(
        "--max-in-flight",
        type=COUNT,
        default=Settings.max_in_flight,
        help="Reviews that wait or still arrive; beyond, 503 and Retry-After.",
    ),
    option(
        "--max-in-flight-mib",
        type=COUNT,
        default=Settings.max_in_flight_mib,
        help="Memory that their bodies may take; beyond, the same.",
    ),
)
log_options = _all_of(
    option(
        "--log-format",
        type=LOG_FORMAT,
        metavar="text|json",
        help="How to log: text on a terminal, else json, unless told.",
    ),
    option(
        "--log-level",
        type=LOG_LEVEL,
        metavar="|".join(LOG_LEVELS),
        default=Settings.log_level,
        help="What to log; debug has also the reviews that nothing came of.",
    ),
    option(
        "--log-reviews-per-second",
        type=COUNT,
        default=Settings.log_reviews_per_second,
        help="Lines about reviews; beyond, one in a hundred and their number.",
    ),
)
