"""An event loop that is busy and late is known to be; one that waits for others is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recsvc.api.lateness import Lateness
from tests.running import RunningService


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.mark.parametrize(("hold_up", "overloaded"), [(busy, True), (time.sleep, False)])
def test_lateness_counts_where_the_loop_is_what_is_busy(hold_up: Callable[[float], None], overloaded: bool) -> None:
    async def scenario() -> tuple[bool, bool, bool]:
        lateness = Lateness()
        before = lateness.is_much
        for _ in range(12):
            lateness.watch()
            hold_up(0.06)
            await asyncio.sleep(0)
        during = lateness.is_much
        await asyncio.sleep(0.5)
        return before, during, lateness.is_much

    assert asyncio.run(scenario()) == (False, overloaded, False)


def test_what_must_be_computed_is_refused_while_the_loop_is_late_and_what_is_kept_is_not(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = RunningService(tmp_path, redis_url)
    running.publish()
    with running:
        for _ in range(2):
            running.recommend("u001")
        with monkeypatch.context() as late:
            late.setattr(Lateness, "is_much", property(lambda _: True))
            assert running.client.get("/v1/users/u001/recommendations").status_code == 200
            refused = running.client.get("/v1/users/u002/recommendations")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["type"] == "urn:recsvc:problem:overloaded"
        running.recommend("u002")
        assert running.metric("recsvc_shed_requests_total") == 1
