"""What a running worker tidies by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import redis

from recsvc.bundle.registry import Registry
from recsvc.eventlog.compact import GRACE_SECONDS
from recsvc.eventlog.files import PartitionLog
from recsvc.eventlog.reader import snapshot
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of, to_json, write_tombstones
from recsvc.store.connection import connect
from recsvc.store.keys import ERASURES_KEY
from recsvc.worker.housekeeping import Housekeeping
from recsvc.worker.leases import Leases
from tests.builders import publish_bundle
from tests.eventlog import partitions
from tests.redis_process import RedisProcess
from tests.running import wait_until
from tests.worker.events import HOME, logged, names, send, unwritten
from tests.worker.worker_process import working


def test_small_files_become_a_segment(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    root = tmp_path / "state" / "events"
    sent = names("a", 60)
    with working(tmp_path, server.url, log_flush_seconds=0.05):
        for name in sent:
            send(client, [name], user_id="u1")
            wait_until(lambda: unwritten(client) == 0)
        wait_until(lambda: any(root.rglob("segment-*")))

    assert logged(tmp_path / "state") == sorted(sent)
    assert len(PartitionLog(root, HOME).chain()) < len(sent)


def test_erased_rows_are_off_the_disk_within_the_hour_whenever_the_erasure_comes(
    tmp_path: Path, server: RedisProcess
) -> None:
    leases = Leases(connect(server.url, timeout_milliseconds=5000), "w1")
    leases.held = frozenset([HOME])
    for erased_at in (1, 599, 1201, 1799, 2398):
        keeping = Housekeeping(connect(server.url, timeout_milliseconds=5000), tmp_path, tmp_path, leases, 1.0)
        start = time.monotonic() + 2
        replaced_at = None
        for second in range(10_000):
            taken = 1 + (second >= erased_at) + (second >= erased_at + 700)
            keeping._plan(taken, start + second)
            if keeping._pending and second >= erased_at and replaced_at is None:
                replaced_at = second
            if keeping._sweeping and replaced_at is not None and second - replaced_at > GRACE_SECONDS:
                break
            keeping._pending, keeping._sweeping = [], []
        assert second - erased_at < 3000


def test_rows_of_users_erased_before_go(tmp_path: Path, server: RedisProcess, client: redis.Redis) -> None:
    root = tmp_path / "state" / "events"
    partitions.publish(PartitionLog(root, partitions.PARTITION), 0, 40)
    tombstone = partitions.erased(partitions.USERS[0], 40)
    client.hset(ERASURES_KEY, tombstone.digest, to_json(tombstone))

    def users() -> set[str]:
        return {user for file in snapshot(root).files for user in pq.read_table(file)["user_id"].to_pylist()}

    with working(tmp_path, server.url):
        wait_until(lambda: partitions.USERS[0] not in users())

    assert users() == set(partitions.USERS[1:])


def test_models_that_knew_a_user_erased_long_ago_leave_the_registry_and_redis_its_file(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    registry = Registry(tmp_path / "models")
    old, champion = (publish_bundle(registry.models_dir, seed=seed) for seed in (1, 2))
    registry.promote(champion)
    now = time.time()
    end = partitions.at(1)
    for name, erased_at in {"u000": now - 40 * 86_400, "somebody": now}.items():
        client.hset(ERASURES_KEY, digest_of(name), to_json(Tombstone(digest_of(name), end, erased_at)))

    with working(tmp_path, server.url) as worker:
        wait_until(lambda: registry.versions() == [champion])
        wait_until(lambda: old in worker.log)
        wait_until(lambda: (tmp_path / "redis" / "redis.log").read_text().count("rewrite") > 0)


def test_who_is_erased_leaves_the_aggregates_of_reports(tmp_path: Path, server: RedisProcess) -> None:
    state_dir = tmp_path / "state"
    partitions.publish(PartitionLog(state_dir / "events", partitions.PARTITION), 0, 40)
    count = [sys.executable, "-m", "recsvc.analysis", "count"]
    subprocess.run(count, env={**os.environ, "RECSVC_STATE_DIR": str(state_dir)}, check=True, capture_output=True)

    def counted() -> set[str]:
        try:
            tables = [pq.read_table(file) for file in (state_dir / "analysis").rglob("*.parquet")]
        except (OSError, ValueError):  # a file was being written, or went between its name and its bytes
            return set()
        return {user for table in tables if "user_id" in table.column_names for user in table["user_id"].to_pylist()}

    assert counted() == set(partitions.USERS)
    write_tombstones(state_dir, Tombstones([partitions.erased(partitions.USERS[0], 40)]))
    with working(tmp_path, server.url):
        wait_until(lambda: counted() == set(partitions.USERS[1:]), seconds=60)
