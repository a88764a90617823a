"""One line a record, as text for a person or as JSON for a machine; never what a Pod contains.

Names of Pods, rules and files come from others, so every value is escaped: a record cannot be
made to look like two, nor can it reach the terminal's control sequences.
"""

import json
import logging
import re
import sys
import time
import traceback
from typing import Any, TextIO

LOG_FORMATS = ("text", "json")

_PLAIN = re.compile(r"[\w./:,@%+-]+", re.ASCII)
_UNSAFE = re.compile(  # control characters, line separators, marks that turn the writing direction
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


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


def configure_logging(log_format: str | None, stream: TextIO | None = None) -> None:
    """Send every logger of the process to one stream; text on a terminal unless told otherwise."""
    stream = stream or sys.stderr
    as_text = stream.isatty() if log_format is None else log_format == "text"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("uvicorn.error").setLevel(
        logging.ERROR
    )  # any stranger can cause its warnings
    # A record shows none of these, and each costs a call of the operating system.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class TextFormatter(logging.Formatter):
    """``12:00:01 info  message key=value``, a traceback on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        words = [
            time.strftime("%H:%M:%S", time.localtime(record.created)),
            record.levelname.lower().ljust(7),
            one_line(record.getMessage()),
        ]
        words += [f"{key}={_value(value)}" for key, value in _fields(record).items()]
        if record.exc_info and record.exc_info[1]:
            words.append("\n" + describe_exception(record.exc_info[1]))
        return " ".join(words)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        content = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[1]:
            content["traceback"] = describe_exception(record.exc_info[1])
        return json.dumps(content)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Give the values that ``fields`` attached."""
    attached: dict[str, Any] = getattr(record, "fields", {})
    return attached


def _value(value: Any) -> str:
    """Show a value bare when that is unambiguous, else quoted and escaped."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _rfc3339(seconds: float) -> str:
    """Give UTC with milliseconds."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
