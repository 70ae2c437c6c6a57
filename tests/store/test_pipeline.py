from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from recsvc.store.connection import connect
from recsvc.store.errors import StoreUnavailable
from recsvc.store.pipeline import Call, ScriptPipeline
from recsvc.store.scripts import Script, load_script
from tests.redis_process import RedisProcess
from tests.store.stores import Stores, with_stores


def script(text: str) -> Script:
    return Script("test", text, hashlib.sha1(text.encode()).hexdigest())


ECHO = script("return ARGV[1]")
APPEND = script("return redis.call('RPUSH', KEYS[1], ARGV[1])")
FAIL = script("return redis.call('RPUSH', KEYS[1])")
CONNECTIONS = script("return redis.call('INCR', KEYS[1])")


def echo(value: Any) -> Call:
    return ECHO, (), (value,)


def run(url: str, scenario: Any, **options: Any) -> None:
    async def opened() -> None:
        connection = connect(url, timeout_milliseconds=options.pop("timeout", 5000))
        pipeline = ScriptPipeline(connection, **options)
        try:
            await scenario(pipeline)
        finally:
            await pipeline.aclose()
            await connection.aclose()

    asyncio.run(opened())


class TestReplies:
    def test_each_of_many_callers_gets_its_own_reply(self, redis_url: str) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            replies = await asyncio.gather(*(pipeline.call(*echo(number)) for number in range(3000)))
            assert replies == [str(number).encode() for number in range(3000)]

        run(redis_url, scenario, max_commands=100)

    @pytest.mark.parametrize("in_flight", [1, 2, 3])
    def test_callers_that_come_while_others_finish_are_served(self, redis_url: str, in_flight: int) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            async def caller(name: int) -> None:
                for number in range(30):
                    assert await pipeline.call(*echo(f"{name}.{number}")) == f"{name}.{number}".encode()
                    await asyncio.sleep(0)

            await asyncio.gather(*(caller(name) for name in range(20)))

        run(redis_url, scenario, max_in_flight=in_flight)

    def test_a_group_is_answered_in_its_order(self, redis_url: str) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            assert await pipeline.call_many(map(echo, range(500))) == [str(n).encode() for n in range(500)]
            assert await pipeline.call_many([]) == []

        run(redis_url, scenario, max_commands=10)

    def test_large_and_binary_arguments_come_through(self, redis_url: str) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            for value in (b"", bytes(range(256)), b"x" * 3_000_000, "é💡".encode()):
                assert await pipeline.call(*echo(value)) == value

        run(redis_url, scenario)

    def test_calls_made_at_the_same_time_share_a_round_trip(self, redis_url: str) -> None:
        async def scenario(stores: Stores) -> None:
            await stores.pipeline.call(*echo("warm"))
            before = await stores.redis("INFO", "stats")
            await asyncio.gather(*(stores.pipeline.call(*echo("x")) for _ in range(500)))
            after = await stores.redis("INFO", "stats")
            # Redis counts what it reads from sockets: one pipeline is a few reads, 500 round trips are 500.
            assert after["total_reads_processed"] - before["total_reads_processed"] < 50

        with_stores(redis_url, scenario)


class TestFailures:
    def test_a_script_that_fails_fails_only_its_own_caller(self, redis_url: str) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            outcomes = await asyncio.gather(
                pipeline.call(*echo("a")),
                pipeline.call(FAIL, ("pipeline:key",), ()),
                pipeline.call(*echo("b")),
                return_exceptions=True,
            )
            assert outcomes[0] == b"a"
            assert outcomes[2] == b"b"
            assert isinstance(outcomes[1], StoreUnavailable)
            assert "refused the script" in str(outcomes[1])

        run(redis_url, scenario)

    def test_scripts_that_redis_forgot_are_sent_again_and_only_those_are_run_again(self, redis_url: str) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            key = "pipeline:forgotten"
            assert await pipeline.call(APPEND, (key,), ("0",)) == 1
            connection = connect(redis_url, timeout_milliseconds=1000)
            await connection.run(lambda redis: redis.script_flush())
            await connection.run(lambda redis: redis.script_load(ECHO.text))
            await connection.run(lambda redis: redis.eval(APPEND.text.replace("RPUSH", "LPUSH"), 1, key, "x"))
            await connection.aclose()
            replies = await pipeline.call_many(
                [echo("a"), (APPEND, (key,), ("1",)), (APPEND, (key,), ("2",)), echo("b")]
            )
            assert replies == [b"a", 3, 4, b"b"]

        run(redis_url, scenario)

    def test_a_restart_of_redis_goes_unnoticed(self, redis_server: RedisProcess) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            assert await pipeline.call(*echo("before")) == b"before"
            redis_server.kill()
            redis_server.start()
            await asyncio.sleep(0.05)
            assert await pipeline.call(*echo("after")) == b"after"

        run(redis_server.url, scenario)

    def test_without_redis_every_caller_of_the_pipeline_is_told(self, redis_server: RedisProcess) -> None:
        redis_server.kill()

        async def scenario(pipeline: ScriptPipeline) -> None:
            outcomes = await asyncio.gather(*(pipeline.call(*echo(n)) for n in range(20)), return_exceptions=True)
            assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
            assert len({id(outcome) for outcome in outcomes}) == 20

        run(redis_server.url, scenario)

    def test_a_redis_that_hangs_costs_the_timeout_then_calls_pass_again(self, redis_server: RedisProcess) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            await pipeline.call(*echo("x"))
            redis_server.pause()
            with pytest.raises(StoreUnavailable):
                await pipeline.call(*echo("late"))
            redis_server.resume()
            for number in range(50):
                assert await pipeline.call(*echo(number)) == str(number).encode()

        run(redis_server.url, scenario, timeout=100)


class TestLeaving:
    def test_a_caller_that_leaves_harms_no_other(self, redis_server: RedisProcess) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            await pipeline.call(*echo("warm"))
            redis_server.pause()
            callers = [asyncio.ensure_future(pipeline.call(*echo(number))) for number in range(30)]
            await asyncio.sleep(0.05)
            for caller in callers[::2]:
                caller.cancel()
            redis_server.resume()
            outcomes = await asyncio.gather(*callers, return_exceptions=True)
            assert outcomes[1::2] == [str(number).encode() for number in range(1, 30, 2)]
            assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
            assert await pipeline.call(*echo("on")) == b"on"

        run(redis_server.url, scenario, max_in_flight=1)

    def test_what_had_not_been_sent_when_its_caller_left_is_not_sent(self, redis_server: RedisProcess) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            key = "pipeline:unsent"
            await pipeline.call(*echo("warm"))
            redis_server.pause()
            first = asyncio.ensure_future(pipeline.call(*echo("first")))
            await asyncio.sleep(0.05)
            second = asyncio.ensure_future(pipeline.call(APPEND, (key,), ("x",)))
            await asyncio.sleep(0)
            second.cancel()
            redis_server.resume()
            await first
            assert await pipeline.call(APPEND, (key,), ("y",)) == 1

        run(redis_server.url, scenario, max_in_flight=1)

    def test_closing_lets_calls_under_way_end_and_refuses_others(self, redis_url: str) -> None:
        async def scenario(pipeline: ScriptPipeline) -> None:
            under_way = asyncio.ensure_future(pipeline.call(*echo("x")))
            await asyncio.sleep(0)
            await pipeline.aclose()
            assert await under_way == b"x"
            with pytest.raises(StoreUnavailable, match="being closed"):
                await pipeline.call(*echo("y"))

        run(redis_url, scenario)


def test_every_script_is_known_by_the_hash_of_its_text() -> None:
    loaded = load_script("ingest")
    assert loaded.sha == hashlib.sha1(loaded.text.encode()).hexdigest()
    assert "local function not_wanted" in loaded.text
    assert load_script("ingest") is loaded
