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
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from queue import SimpleQueue
from typing import Any, TextIO

import msgspec

LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
# Some megabytes. It holds what a large profile has to say of itself while somebody reads it.
PENDING_LIMIT = 10_000
FLUSH_SECONDS = 0.5

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

    A thread does it, so that nothing waits for whoever reads the log. When nobody does, the newest
    lines are dropped, and counted.
    """

    def __init__(self, descriptor: int, render: _Render) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._render = render
        self._pending: SimpleQueue[_Event | threading.Event] = SimpleQueue()
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        values = dict(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1]:
            values["traceback"] = describe_exception(record.exc_info[1])
        self.event(record.levelname.lower(), record.getMessage(), values, record.created)

    def event(
        self, level: str, message: str, values: Mapping[str, Any], seconds: float | None = None
    ) -> None:
        """Write one event, soon."""
        if self._pending.qsize() < PENDING_LIMIT:
            self._pending.put((seconds or time.time(), level, message, values))
        else:
            self.dropped += 1

    def event_later(self, level: str, message: str, values: Mapping[str, Any]) -> None:
        """Write one event when the event loop turns, so after the answer that it is about.

        A thread that is awake sooner competes with the answer, and often wins.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.event(level, message, values)
        else:
            loop.call_soon(self.event, level, message, values, time.time())

    def flush(self) -> None:
        """Wait until everything is written, but not for long: maybe nobody reads."""
        written = threading.Event()
        self._pending.put(written)
        written.wait(FLUSH_SECONDS)

    def _write(self) -> None:
        """Write what is pending, for ever; a log that cannot be written to stops nobody."""
        told = 0
        while True:
            event = self._pending.get()
            if isinstance(event, threading.Event):
                event.set()
                continue
            lines = self._render(*event)
            if self.dropped > told:
                count, told = self.dropped - told, self.dropped
                lines += self._render(time.time(), "warning", "lines dropped", {"count": count})
            with contextlib.suppress(OSError):
                _write_all(self._descriptor, lines)


def _write_all(descriptor: int, lines: bytes) -> None:
    """Write to the last byte, however long that takes."""
    rest = memoryview(lines)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # whoever gave it to us wanted it so
            select.select((), (descriptor,), ())


def log_event(level: str, message: str, **values: Any) -> None:
    """Log past the logging module, where logging has been configured."""
    if handler := _handler():
        handler.event_later(level, message, values)


def is_logged(level: int) -> bool:
    """Tell whether events of a level are wanted."""
    return logging.getLogger("webhook").isEnabledFor(level)


def dropped_lines() -> int:
    """Tell how many lines nobody has read."""
    handler = _handler()
    return handler.dropped if handler else 0


def flush_log() -> None:
    """Wait for the last lines, for a moment."""
    if handler := _handler():
        handler.flush()


def _handler() -> EventHandler | None:
    handlers = logging.root.handlers
    return handlers[0] if handlers and isinstance(handlers[0], EventHandler) else None


def configure_logging(
    log_format: str | None, log_level: str = "info", stream: TextIO | None = None
) -> None:
    """Send every logger of the process to one stream; text on a terminal unless told otherwise.

    The level is that of our own events. Libraries have more to say, of what is nobody's business
    (bodies of answers, for one): of them nothing below info is logged, whatever is wanted of us.
    """
    stream = stream or sys.stderr
    as_text = stream.isatty() if log_format is None else log_format == "text"
    handler = EventHandler(stream.fileno(), text_line if as_text else json_line)
    level = getattr(logging, log_level.upper())
    logging.basicConfig(handlers=[handler], level=max(level, logging.INFO), force=True)
    logging.getLogger("webhook").setLevel(level)
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
