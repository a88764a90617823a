"""How many lines very many reviews make."""

import asyncio
import logging

import pytest

from webhook.review_log import ONE_IN, Sample


def test_first_all_and_then_one_in_a_hundred() -> None:
    """In each second so many are taken, then every hundredth; the next second begins anew."""
    now = 10.0

    async def taken(count: int) -> int:
        return sum(sample.takes() for _ in range(count))

    sample = Sample("reviews", 50, lambda: now)
    assert asyncio.run(taken(1000)) == 50 + 1000 // ONE_IN - 50 // ONE_IN
    now = 11.0
    assert asyncio.run(taken(50)) == 50


def test_what_is_left_out_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The number of lines that are missing is a line; without any missing there is none."""
    caplog.set_level(logging.INFO)

    async def flood() -> int:
        return sum(sample.takes() for _ in range(99))

    sample = Sample("reviews", 9, lambda: 10.0)
    assert asyncio.run(flood()) == 9
    sample.report()
    sample.report()
    (record,) = caplog.records
    assert record.message == "reviews not logged"
    assert record.__dict__["fields"] == {"count": 90}
