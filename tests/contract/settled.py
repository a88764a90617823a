"""The log of a running server, once everything that happened before is in it."""

import itertools
import json
from typing import Any

from tests.contract.reviews import encoded
from tests.contract.serving import ServeProcess, wait_until

_NUMBERS = itertools.count()
_MARK = "settled-"


def settled_log(server: ServeProcess) -> str:
    """Give all lines but those of the reviews that this itself sends, to wait for their lines."""
    uid = f"{_MARK}{next(_NUMBERS)}-"
    assert server.post(encoded(uid=uid)).status == 200
    wait_until(lambda: uid in server.log and server.log.endswith("\n"), "the log to settle")
    return "".join(line for line in server.log.splitlines(keepends=True) if _MARK not in line)


def records_of(server: ServeProcess, body: bytes) -> list[dict[str, Any]]:
    """Send a review, and give what is logged for it.

    How many lines were left out in another test's crowd is told ten seconds later, so maybe now.
    """
    before = len(settled_log(server))
    server.post(body)
    records = [json.loads(line) for line in settled_log(server)[before:].splitlines()]
    return [record for record in records if not record["message"].endswith(" not logged")]
