"""One line an event, as text for a person or as JSON for a machine; never what a Secret holds."""

import json
import logging
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

logger = logging.getLogger("certs")

_PLAIN = re.compile(r"[\w./:,@%+-]+", re.ASCII)


class _Formatter(logging.Formatter):
    """Renders a record and its fields; whatever could break the line is escaped."""

    def __init__(self, *, as_text: bool) -> None:
        super().__init__()
        self._as_text = as_text

    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, Any] = dict(getattr(record, "fields", {}))
        if record.exc_info and (error := record.exc_info[1]):  # its text may quote a Secret
            frames = traceback.extract_tb(error.__traceback__)
            values["exception"] = type(error).__name__
            values["at"] = " > ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames)
        level, message = record.levelname.lower(), record.getMessage()
        if not self._as_text:
            event = {"time": _rfc3339(record.created), "level": level, "message": message}
            return json.dumps(event | values, default=str)
        words = [time.strftime("%H:%M:%S", time.localtime(record.created)), level.ljust(7)]
        words += [message if message.isprintable() else json.dumps(message)]
        return " ".join([*words, *(f"{key}={_word(value)}" for key, value in values.items())])


def configure_logging(log_format: str | None, stream: TextIO | None = None) -> None:
    """Send every logger to one stream; text on a terminal unless told otherwise."""
    stream = stream or sys.stderr
    as_text = stream.isatty() if log_format is None else log_format == "text"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(as_text=as_text))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def log(level: int, message: str, **values: Any) -> None:
    """Log an event with its named values."""
    logger.log(level, message, extra={"fields": values})


def _word(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _rfc3339(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
