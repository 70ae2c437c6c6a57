"""From stream to file, partition by partition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet as pq
import redis

from recsvc.eventlog.event import LogEvent, encode
from recsvc.eventlog.files import PartitionLog
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.reader import snapshot
from recsvc.eventlog.rows import table_of
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of
from recsvc.store.connection import connect
from recsvc.store.keys import dead_key, log_key
from recsvc.worker.writer import LogWriter, Written
from tests.redis_process import RedisProcess
from tests.worker.events import HOME, logged, names, send

T = TypeVar("T")

NOBODY = Tombstones()


def _with_writer(server: RedisProcess, state_dir: Path, work: Callable[[LogWriter], Awaitable[T]]) -> T:
    async def run() -> T:
        connection = connect(server.url, timeout_milliseconds=5000)
        writer = LogWriter(connection, state_dir / "events")
        try:
            return await work(writer)
        finally:
            writer.close()
            await connection.aclose()

    return asyncio.run(run())


def _flush(server: RedisProcess, state_dir: Path, tombstones: Tombstones = NOBODY) -> Written:
    return _with_writer(server, state_dir, lambda writer: writer.flush([HOME], tombstones))


def _add(client: redis.Redis, payload: bytes, field: str = "e") -> str:
    name: bytes = client.xadd(log_key(HOME), {field: payload})
    return name.decode()


def test_entries_that_are_no_events_are_put_aside_with_their_reason_and_the_rest_flows_on(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    send(client, ["good-1"], user_id="u1")
    stray = next(name for name in names("v", 9) if name != "u1")
    poison = {
        _add(client, b"{"): b"",
        _add(client, b"[]"): b"not a JSON object",
        _add(client, b"x", field="other"): b"no field `e`",
        _add(client, b'{"i":"e","t":"view","u":"u1"}'): b"no timestamp",
        _add(client, b'{"i":"e","t":"view","u":"u1","ts":true}'): b"timestamp is bool",
        _add(client, b'{"i":"e","t":"view","u":"u1","ts":1e300}'): b"not a time",
        _add(client, encode(LogEvent("e", "view", stray, 0))): b"belongs to partition",
    }
    send(client, ["good-2"], user_id="u1")

    written = _flush(server, tmp_path)

    assert written == Written(rows=2, dead=len(poison), refused=frozenset())
    assert logged(tmp_path) == ["good-1", "good-2"]
    assert client.xlen(log_key(HOME)) == 0
    letters = {entry_id.decode(): fields for entry_id, fields in client.xrange(dead_key(HOME))}
    assert list(letters) == list(poison)
    assert all(reason in letters[entry_id][b"why"] for entry_id, reason in poison.items())
    assert client.ttl(dead_key(HOME)) > 0
    assert list(letters.values())[2][b"e"] == b'{"other":"x"}'


def test_poison_alone_moves_on_too(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    _add(client, b"{")

    _flush(server, tmp_path)

    assert client.xlen(log_key(HOME)) == 0
    assert client.xlen(dead_key(HOME)) == 1


def test_dead_letter_of_an_attempt_that_crashed_is_not_doubled(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    first, second = _add(client, b"{"), _add(client, b"[")
    client.xadd(dead_key(HOME), {"e": b"{", "why": "from before the crash"}, id=first)

    _flush(server, tmp_path)

    assert [entry_id.decode() for entry_id, _ in client.xrange(dead_key(HOME))] == [first, second]


def test_events_of_an_erased_user_are_left_out_and_those_of_the_successor_are_written(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    send(client, ["before"], user_id="u1")
    until = StreamId.parse(client.xinfo_stream(log_key(HOME))["last-generated-id"])
    send(client, ["after"], user_id="u1")

    _flush(server, tmp_path, Tombstones([Tombstone(digest_of("u1"), until, 1.0)]))

    assert logged(tmp_path) == ["after"]
    assert client.xlen(log_key(HOME)) == 0


def test_entry_whose_id_fits_no_row_is_put_aside(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    send(client, ["good"], user_id="u1")
    client.xadd(log_key(HOME), {"e": encode(LogEvent("far", "view", "u1", 0))}, id=f"{2**63}-1")

    assert _flush(server, tmp_path) == Written(rows=1, dead=1, refused=frozenset())

    assert logged(tmp_path) == ["good"]
    assert client.xlen(log_key(HOME)) == 0


def test_erased_user_gets_no_dead_letters(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    _add(client, encode(LogEvent("e", "view", "u1", 1e300)))
    until = StreamId.parse(_add(client, b'{"i":"e","t":"view","u":"u1"}'))
    kept = [_add(client, b"{"), _add(client, encode(LogEvent("e", "view", "u1", 1e300)))]

    _flush(server, tmp_path, Tombstones([Tombstone(digest_of("u1"), until, 1.0)]))

    assert [entry_id.decode() for entry_id, _ in client.xrange(dead_key(HOME))] == kept


def test_what_a_crash_left_between_file_and_trim_is_trimmed_and_not_written_again(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    send(client, names("a", 5), user_id="u1")
    entries = client.xrange(log_key(HOME))
    ids = [StreamId.parse(entry_id) for entry_id, _ in entries]
    events = [LogEvent(name, "view", "u1", 0) for name in names("a", 5)]
    PartitionLog(tmp_path / "events", HOME).publish(StreamId(0, 0), ids[-1], table_of(HOME, events, ids))

    written = _flush(server, tmp_path)

    assert written.rows == 0
    assert client.xlen(log_key(HOME)) == 0
    assert logged(tmp_path) == names("a", 5)


def test_damaged_partition_keeps_its_events_and_the_others_go_on(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    directory = tmp_path / "events" / f"p{HOME:03d}"
    directory.mkdir(parents=True)
    (directory / "manifest.json").write_text("{")
    other = HOME + 1
    client.xadd(log_key(other), {"e": b"poison"})
    send(client, names("a", 3), user_id="u1")

    written = _with_writer(server, tmp_path, lambda writer: writer.flush([HOME, other], NOBODY))

    assert written.refused == {HOME}
    assert client.xlen(log_key(HOME)) == 3
    assert client.xlen(log_key(other)) == 0


def test_two_writers_at_once_write_each_event_once(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    send(client, names("a", 200), user_id="u1")

    async def race(writer: LogWriter) -> None:
        await asyncio.gather(*(writer.flush([HOME], NOBODY) for _ in range(4)))

    _with_writer(server, tmp_path, race)

    assert logged(tmp_path) == sorted(names("a", 200))
    assert client.xlen(log_key(HOME)) == 0


def test_stream_goes_on_above_the_log_when_redis_lost_its_data_and_the_clock_was_set_back(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    future = StreamId(9_000_000_000_000, 4)
    PartitionLog(tmp_path / "events", HOME).publish(StreamId(0, 0), future, table_of(HOME, [], []))

    _with_writer(server, tmp_path, lambda writer: writer.take_over([HOME]))
    assert client.xlen(log_key(HOME)) == 0
    send(client, ["a"], user_id="u1")
    _with_writer(server, tmp_path, lambda writer: writer.take_over([HOME]))
    _flush(server, tmp_path)

    assert logged(tmp_path) == ["a"]
    assert snapshot(tmp_path / "events").ends[HOME] > future


def test_rows_carry_the_place_in_the_stream(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    send(client, ["a"], user_id="u1")
    ((entry_id, _),) = client.xrange(log_key(HOME))

    _flush(server, tmp_path)

    (row,) = pq.read_table(snapshot(tmp_path / "events").files[0]).to_pylist()
    assert StreamId(row["stream_ms"], row["stream_seq"]) == StreamId.parse(entry_id)
    assert row["partition"] == HOME
