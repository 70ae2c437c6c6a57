"""Real workers on a real Redis: nothing is lost and nothing doubled, whoever dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import redis

from recsvc.eventlog.position import PARTITIONS
from recsvc.eventlog.reader import snapshot
from recsvc.eventlog.tombstones import Tombstone, digest_of, to_json
from recsvc.store.keys import ERASURES_KEY, WORKERS_KEY, lease_key
from tests.e2e.service_process import environment
from tests.eventlog.partitions import users_on_disk
from tests.redis_process import RedisProcess
from tests.running import wait_until
from tests.worker.events import logged, names, send, unwritten
from tests.worker.worker_process import working


def _owners(client: redis.Redis) -> list[bytes | None]:
    return [client.get(lease_key(partition)) for partition in range(PARTITIONS)]


def _share_partitions(client: redis.Redis, workers: int) -> bool:
    owners = _owners(client)
    return None not in owners and len(set(owners)) == workers


def test_events_reach_the_log_and_leave_the_stream(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    with working(tmp_path, server.url):
        send(client, names("a", 500))
        wait_until(lambda: unwritten(client) == 0 and len(logged(tmp_path / "state")) == 500)

    assert logged(tmp_path / "state") == sorted(names("a", 500))


def test_a_worker_told_to_stop_writes_what_is_there_and_leaves(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    with working(tmp_path, server.url, log_flush_seconds=3600) as worker:
        wait_until(lambda: _share_partitions(client, 1))
        send(client, names("a", 300))
        worker.signal(signal.SIGTERM)

        assert worker.wait() == 0
    assert unwritten(client) == 0
    assert logged(tmp_path / "state") == sorted(names("a", 300))
    assert set(_owners(client)) == {None}
    assert not client.exists(WORKERS_KEY)


def test_two_workers_share_the_partitions_and_write_each_event_once(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    with working(tmp_path, server.url):
        wait_until(lambda: _share_partitions(client, 1))
        with working(tmp_path, server.url):
            send(client, names("a", 400))
            wait_until(lambda: _share_partitions(client, 2))
            send(client, names("b", 400))
            wait_until(lambda: unwritten(client) == 0)
            owners = _owners(client)

    assert {owners.count(owner) for owner in set(owners)} == {PARTITIONS // 2}
    assert logged(tmp_path / "state") == sorted(names("a", 400) + names("b", 400))


def test_partitions_of_a_killed_worker_are_taken_over(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    sent: list[str] = []
    with working(tmp_path, server.url) as first, working(tmp_path, server.url):
        wait_until(lambda: _share_partitions(client, 2))
        for burst in range(10):
            batch = names(f"b{burst}-", 200)
            send(client, batch)
            sent += batch
            if burst == 5:
                first.signal(signal.SIGKILL)
        wait_until(lambda: _share_partitions(client, 1) and unwritten(client) == 0, seconds=30)

    assert logged(tmp_path / "state") == sorted(sent)


def test_worker_that_was_stopped_for_long_and_goes_on_spoils_nothing(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    with working(tmp_path, server.url) as first:
        wait_until(lambda: _share_partitions(client, 1))
        send(client, names("a", 2000))
        first.signal(signal.SIGSTOP)  # most likely in the middle of writing
        with working(tmp_path, server.url):
            send(client, names("b", 500))
            wait_until(lambda: unwritten(client) == 0, seconds=30)
            first.signal(signal.SIGCONT)
            send(client, names("c", 500))
            wait_until(lambda: _share_partitions(client, 2) and unwritten(client) == 0, seconds=30)

    assert logged(tmp_path / "state") == sorted(names("a", 2000) + names("b", 500) + names("c", 500))


def test_worker_goes_on_when_redis_is_back(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    with working(tmp_path, server.url) as worker:
        send(client, names("a", 300))
        wait_until(lambda: _share_partitions(client, 1))
        server.kill()
        wait_until(lambda: "not written for now" in worker.log)
        server.start()
        send(client, names("b", 300))
        wait_until(lambda: unwritten(client) == 0)

        assert worker.log.count("not written for now") == 1
    assert logged(tmp_path / "state") == sorted(names("a", 300) + names("b", 300))


def test_worker_leaves_when_told_to_even_without_redis(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    with working(tmp_path, server.url) as worker:
        wait_until(lambda: _share_partitions(client, 1))
        server.kill()
        worker.signal(signal.SIGTERM)

        assert worker.wait() == 0


def test_worker_of_another_service_finds_its_private_redis(tmp_path: Path) -> None:
    directory = tmp_path / "state" / "redis"
    directory.mkdir(parents=True)
    server = RedisProcess(directory, "--unixsocket", str(directory / "redis.sock"))
    server.start()
    try:
        with working(tmp_path, None), redis.Redis.from_url(server.url) as client:
            send(client, names("a", 10))
            wait_until(lambda: len(logged(tmp_path / "state")) == 10)
    finally:
        server.kill()


def test_worker_without_any_redis_says_what_to_do(tmp_path: Path) -> None:
    with working(tmp_path, None) as worker:
        assert worker.wait() == 2
        assert "RECSVC_REDIS_URL" in worker.log
        assert "Traceback" not in worker.log


def test_events_wait_while_the_disk_refuses(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    (state_dir / "events").write_text("where the log is to be")
    with working(tmp_path, server.url) as worker:
        send(client, names("a", 100))
        wait_until(lambda: "cannot be written" in worker.log)
        assert unwritten(client) == 100
        (state_dir / "events").unlink()
        wait_until(lambda: unwritten(client) == 0)

    assert logged(state_dir) == sorted(names("a", 100))


def test_erased_user_is_gone_after_a_compaction(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    with working(tmp_path, server.url):
        send(client, names("a", 20), user_id="u1")
        send(client, names("b", 20))
        wait_until(lambda: len(logged(tmp_path / "state")) == 40)
        end = max(snapshot(tmp_path / "state" / "events").ends.values())
        client.hset(ERASURES_KEY, digest_of("u1"), to_json(Tombstone(digest_of("u1"), end, 1_790_000_000.0)))

        said = subprocess.run(
            [sys.executable, "-m", "recsvc.worker", "--compact"],
            env=environment(tmp_path / "models", tmp_path / "state", redis_url=server.url),
            capture_output=True,
            text=True,
            check=True,
        )

    assert "removed 20 rows of erased users" in said.stdout
    assert logged(tmp_path / "state") == sorted(names("b", 20))
    assert "u1" not in users_on_disk(tmp_path)


def test_busy_partition_is_written_long_before_it_is_full(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    with working(tmp_path, server.url, log_flush_seconds=3600, max_unwritten_events=256 * 100):
        send(client, names("a", 25), user_id="u1")
        wait_until(lambda: unwritten(client) == 0)

    assert len(logged(tmp_path / "state")) == 25


def test_compaction_that_cannot_read_the_erasures_says_so(tmp_path: Path, server: RedisProcess) -> None:
    file = tmp_path / "state" / "live" / "erasures.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("broken\n")

    ended = subprocess.run(
        [sys.executable, "-m", "recsvc.worker", "--compact"],
        env=environment(tmp_path / "models", tmp_path / "state", redis_url=server.url),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert f"{file}, line 1 is not a tombstone" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_worker_with_another_log_is_refused_and_says_what_to_do(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with working(first, server.url):
        send(client, names("a", 10))
        wait_until(lambda: len(logged(first / "state")) == 10)
    with working(second, server.url) as worker:
        assert worker.wait() == 2
        assert "--adopt-log" in worker.log
        assert "Traceback" not in worker.log

    adopting = [sys.executable, "-m", "recsvc.worker", "--adopt-log"]
    subprocess.run(
        adopting, env=environment(second / "models", second / "state", redis_url=server.url), check=True, timeout=60
    )
    with working(second, server.url):
        send(client, names("b", 10))
        wait_until(lambda: len(logged(second / "state")) == 10)

    assert logged(second / "state") == sorted(names("b", 10))
