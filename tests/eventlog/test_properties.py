"""Whatever owners and compactions do, and wherever they crash: the log has each event once, erased ones aside."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recsvc.eventlog.compact import compact, sweep
from recsvc.eventlog.files import PartitionLog
from recsvc.eventlog.tombstones import Tombstones
from tests.eventlog.partitions import NOON, PARTITION, USERS, at, erased, logged, publish

_CHANGES = ("link", "unlink", "replace", "rename", "fsync", "mkdir")


class _Crash(BaseException):
    """The process ends here."""


@contextmanager
def _dying_after(changes: int) -> Iterator[None]:
    """The process gets so many changes of the disk done. What it would do after its death, clearing up say, is not."""
    left = changes
    with pytest.MonkeyPatch.context() as patch:
        for name in _CHANGES:
            real: Callable[..., Any] = getattr(os, name)

            def change(*arguments: Any, real: Callable[..., Any] = real, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise _Crash
                return real(*arguments, **options)

            patch.setattr(os, name, change)
        with suppress(_Crash):
            yield


class LogMachine(RuleBasedStateMachine):
    """`owners` each believe they own the partition; `believed` is where each last saw the log end."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.root = Path(self._directory.name)
        self.owners = [PartitionLog(self.root, PARTITION) for _ in range(2)]
        self.believed = [0, 0]
        self.arrived = 0
        self.trimmed = 0
        self.now = NOON / 1000
        self.tombstones = Tombstones()
        self.numbers = {at(number): number for number in range(500)}

    def teardown(self) -> None:
        self._directory.cleanup()

    @rule(count=st.integers(1, 6))
    def events_arrive(self, count: int) -> None:
        self.arrived += count

    @rule(owner=st.integers(0, 1))
    def owner_looks(self, owner: int) -> None:
        self.believed[owner] = self.numbers[self.owners[owner].end()]

    @rule(owner=st.integers(0, 1), share=st.floats(0, 1), crash=st.none() | st.integers(0, 6))
    def owner_writes_what_it_read_after_its_last_look(self, owner: int, share: float, crash: int | None) -> None:
        after = self.believed[owner]
        last = after + max(1, round((self.arrived - after) * share))
        if last > self.arrived:
            return
        with _dying_after(10**9 if crash is None else crash):
            publish(self.owners[owner], after, last)

    @rule(owner=st.integers(0, 1))
    def owner_trims(self, owner: int) -> None:
        end = self.numbers[self.owners[owner].durable_end()]
        self.trimmed = max(self.trimmed, end)
        self.believed[owner] = end

    @rule(owner=st.integers(0, 1))
    def owner_is_replaced(self, owner: int) -> None:
        self.owners[owner] = PartitionLog(self.root, PARTITION)

    @precondition(lambda self: self.arrived)
    @rule(user=st.sampled_from(USERS), share=st.floats(0, 1))
    def user_is_erased(self, user: str, share: float) -> None:
        earlier = self.tombstones.of(user)
        until = max(round(self.arrived * share), 0 if earlier is None else self.numbers[earlier.until])
        self.now += 1
        self.tombstones.add(erased(user, until, self.now))

    @rule(
        whole=st.booleans(),
        erase=st.booleans(),
        hours=st.integers(0, 2),
        crash=st.none() | st.integers(0, 20),
    )
    def partition_is_compacted(self, whole: bool, erase: bool, hours: int, crash: int | None) -> None:
        self.now += hours * 1800
        log = PartitionLog(self.root, PARTITION)
        with _dying_after(10**9 if crash is None else crash):
            compact(log, self.tombstones, self.now, whole=whole, erase=erase)

    @rule()
    def leftovers_are_swept(self) -> None:
        sweep(PartitionLog(self.root, PARTITION), self.now, grace_seconds=0)

    @invariant()
    def log_has_each_event_once(self) -> None:
        end = self.numbers[PartitionLog(self.root, PARTITION).end()]
        found = [int(name[1:]) for name in logged(self.root)]
        assert self.trimmed <= end <= self.arrived, "what was trimmed from the stream is in the log"
        assert found == sorted(set(found))
        missing = set(range(1, end + 1)) - set(found)
        assert all(self.tombstones.erases(USERS[number % len(USERS)], at(number)) for number in missing)
        assert not set(found) - set(range(1, end + 1))

    @precondition(lambda self: len(self.tombstones))
    @rule()
    def erased_users_are_gone_after_a_compaction(self) -> None:
        compact(PartitionLog(self.root, PARTITION), self.tombstones, self.now, whole=True)
        found = [int(name[1:]) for name in logged(self.root)]
        assert not any(self.tombstones.erases(USERS[number % len(USERS)], at(number)) for number in found)


TestLog = LogMachine.TestCase
TestLog.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
