"""Concurrent calls for the same thing are one."""

from __future__ import annotations

import asyncio

import pytest

from recsvc.serving.singleflight import SingleFlight


class Work:
    """Counts its calls and ends when it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.calls += 1
        await self.go.wait()
        return self.calls


def test_concurrent_calls_share_one_result_and_later_ones_do_not() -> None:
    async def scenario() -> None:
        flight: SingleFlight[int] = SingleFlight()
        work = Work()
        callers = [asyncio.create_task(flight.run("key", work)) for _ in range(10)]
        await asyncio.sleep(0)
        work.go.set()
        assert await asyncio.gather(*callers) == [1] * 10
        assert await flight.run("key", work) == 2

    asyncio.run(scenario())


def test_a_caller_that_goes_away_stops_nobody() -> None:
    async def scenario() -> None:
        flight: SingleFlight[int] = SingleFlight()
        work = Work()
        first, second = (asyncio.create_task(flight.run("key", work)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        work.go.set()
        assert await second == 1
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(scenario())


def test_a_failure_reaches_every_caller_and_is_not_remembered() -> None:
    async def fail() -> int:
        await asyncio.sleep(0)
        raise LookupError

    async def succeed() -> int:
        return 7

    async def scenario() -> None:
        flight: SingleFlight[int] = SingleFlight()
        results = await asyncio.gather(*(flight.run("key", fail) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [LookupError] * 3
        assert await flight.run("key", succeed) == 7

    asyncio.run(scenario())


def test_closing_ends_what_is_under_way() -> None:
    async def scenario() -> None:
        flight: SingleFlight[int] = SingleFlight()
        caller = asyncio.create_task(flight.run("key", Work()))
        await asyncio.sleep(0)
        await flight.close()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(scenario())
