"""One line an event, as text for a person or as JSON for a machine; never what a Pod contains.

Names of Pods, rules and files come from others, so every value is escaped: an event cannot be made
to look like two, nor can it reach the terminal's control sequences.

A review's line is written by ``log_event``, past the logging module, whose records cost as much as
the review itself; everything else logs as usual and comes out in the same form.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TextIO

import msgspec

LOG_FORMATS = ("text", "json")

_PLAIN = re.compile(r"[\w./:,@%+-]+", re.ASCII)
_UNSAFE = re.compile(  # control characters, line separators, marks that turn the writing direction
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_encode = msgspec.json.Encoder().encode

_Event = tuple[float, str, str, Mapping[str, Any]]  # seconds, level, message, values by name
_Render = Callable[[float, str, str, Mapping[str, Any]], bytes]


def one_line(text: str) -> str:
    """Escape what could break the line or steer a terminal; everything else stays readable."""
    return _UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], text)


def describe_exception(error: BaseException) -> str:
    """Give the frames and the type, never the text: that may quote the object it choked on."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    described = f"{frames}{type(error).__name__}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return described if cause is None else f"{described}\nafter: {describe_exception(cause)}"


def fields(**values: Any) -> dict[str, Any]:
    """Attach named values to a record: ``logger.info("…", extra=fields(port=8443))``."""
    return {"fields": values}


def text_line(seconds: float, level: str, message: str, values: Mapping[str, Any]) -> bytes:
    """Render an event for a person: ``12:00:01 info    message key=value``."""
    clock = time.strftime("%H:%M:%S", time.localtime(seconds))
    words = [clock, level.ljust(7), one_line(message)]
    words += [f"{key}={_word(value)}" for key, value in values.items() if key != "traceback"]
    if "traceback" in values:  # lines of their own: they name our files only
        words.append("\n" + str(values["traceback"]))
    return " ".join(words).encode(errors="backslashreplace") + b"\n"


def json_line(seconds: float, level: str, message: str, values: Mapping[str, Any]) -> bytes:
    """Render an event as one JSON object, in ASCII."""
    event = {"time": _rfc3339(seconds), "level": level, "message": message, **values}
    try:
        line = _encode(event)
    except (UnicodeEncodeError, TypeError):
        line = b"\xff"
    if not line.isascii() or b"\x7f" in line:  # rare, so the slow encoder may do it
        line = json.dumps(event, default=str).replace("\x7f", r"\u007f").encode()
    return line + b"\n"


class EventHandler(logging.Handler):
    """Writes the records of the logging module, and our events, to one file descriptor.

    The events of one turn of the event loop are rendered and written together, after the answers:
    under load a write for each of them would cost more than all else about it.
    """

    def __init__(self, descriptor: int, render: _Render) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._render = render
        self._pending: list[_Event] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        values = dict(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1]:
            values["traceback"] = describe_exception(record.exc_info[1])
        level = record.levelname.lower()
        self._pending.append((record.created, level, record.getMessage(), values))
        self.flush()

    def event(self, message: str, values: Mapping[str, Any]) -> None:
        """Write one event of level info, at the latest when the event loop turns."""
        self._pending.append((time.time(), "info", message, values))
        if len(self._pending) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:  # outside of an event loop
                self.flush()

    def flush(self) -> None:
        """Write what is pending; a log that cannot be written to stops nobody."""
        events, self._pending = self._pending, []
        lines = b"".join([self._render(*event) for event in events])
        with contextlib.suppress(OSError):
            os.write(self._descriptor, lines)


def log_event(message: str, **values: Any) -> None:
    """Log at level info, where logging has been configured."""
    if handlers := logging.root.handlers:
        handler = handlers[0]
        if isinstance(handler, EventHandler):
            handler.event(message, values)


def configure_logging(log_format: str | None, stream: TextIO | None = None) -> None:
    """Send every logger of the process to one stream; text on a terminal unless told otherwise."""
    stream = stream or sys.stderr
    as_text = stream.isatty() if log_format is None else log_format == "text"
    handler = EventHandler(stream.fileno(), text_line if as_text else json_line)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # strangers cause its warnings


def _word(value: Any) -> str:
    """Show a value bare when that is unambiguous, else quoted and escaped."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text).replace("\x7f", r"\u007f")


def _rfc3339(seconds: float) -> str:
    """Give UTC with milliseconds."""
    whole = int(seconds)
    return f"{_second(whole)}{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    """Give all but the milliseconds, which is the same for thousands of events."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds))
