"""Any interleaving of events, duplicates, merges and erasures leaves the state that a simple model predicts."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from recsvc.eventlog.position import StreamId, partition_of
from recsvc.events.schema import TYPE_CODES
from recsvc.store.event_store import IncomingEvent
from recsvc.store.keys import log_key, state_key
from recsvc.store.merging import Sealed
from recsvc.store.user_state import UserRead
from tests.store.event_model import KEPT, Kept, ModelUser, Sent
from tests.store.stores import Stores, opened

T = TypeVar("T")

NAMES = st.sampled_from("abcd")
DIGESTS = st.sampled_from(("d1", "d2"))
MARK_IS_SURE_SECONDS = 1.0

_runs = itertools.count()


def _sent(number: int, kind: str, item: int, value: float | None, since: int) -> Sent:
    unwanted = None
    if kind == "report":
        unwanted = (f"r:v{item}", since)
    elif kind == "not_interested":
        return Sent(f"e{number}", kind, None, None, (f"c:{item}" if item % 2 else f"t:{item}", since))
    return Sent(f"e{number}", kind, f"v{item}", value, unwanted)


SENT = st.builds(
    _sent,
    st.integers(0, 15),
    st.sampled_from(("impression", "view", "like", "report", "not_interested")),
    st.integers(0, 5),
    st.none() | st.sampled_from((0.0, 0.5, 1.0)),
    st.integers(1, 3),
)


class Machine(RuleBasedStateMachine):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.run = f"model{next(_runs)}"
        self.model: dict[str, ModelUser] = {name: ModelUser(self.id(name)) for name in "abcd"}
        self.highest = dict.fromkeys("abcd", 0)
        self.logged: dict[int, int] = {}
        self.marked_at: dict[tuple[str, str], float] = {}
        self.numbers = itertools.count()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.stores: Stores = self.do(self.stack.enter_async_context(opened(url)))
        seconds, microseconds = self.do(self.stores.redis("TIME"))
        self.start = f"{seconds * 1000 + microseconds // 1000}-0"

    def teardown(self) -> None:
        try:
            for partition in self.logged:
                assert self._new_entries(partition) == []
        finally:
            self.do(self.stack.aclose())
            self.loop.close()

    def id(self, name: str) -> str:
        return f"{self.run}-{name}"

    def do(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    def root(self, name: str) -> str:
        while (into := self.model[name].into) is not None:
            name = into
        return name

    # events

    @rule(name=NAMES, events=st.lists(SENT, min_size=1, max_size=6))
    def send(self, name: str, events: list[Sent]) -> None:
        """As the service does: what a merged user does not take goes to the account."""
        while events:
            user = self.model[name]
            expected = user.outcomes(events)
            stamp = next(self.numbers)
            payloads = [f"{user.name} {event.event_id} {stamp}".encode() for event in events]
            incoming = [self._incoming(*pair) for pair in zip(events, payloads, strict=True)]
            (result,) = self.do(self.stores.events.ingest([(user.name, incoming)], 0))
            assert result.duplicate == expected
            assert not result.full
            assert result.moved_to == (None if user.into is None else self.id(user.into))
            if user.into is None:
                self._accepted(name, events, payloads, expected)
                return
            events = [event for event, outcome in zip(events, expected, strict=True) if outcome is None]
            name = user.into

    @rule(name=NAMES)
    def send_many(self, name: str) -> None:
        first = next(self.numbers) * 1000
        self.send(name, [Sent(f"m{first + number}", "view", "v9", None, None) for number in range(KEPT * 3 // 4)])

    def _incoming(self, sent: Sent, payload: bytes) -> IncomingEvent:
        recent = (TYPE_CODES[sent.kind], time.time(), sent.value, sent.item or "") if sent.recent else None
        field, since = sent.unwanted or (None, None)
        return IncomingEvent(sent.event_id, payload, recent, field, sent.raises, since)

    def _accepted(
        self, name: str, events: Sequence[Sent], payloads: Sequence[bytes], duplicate: Sequence[bool | None]
    ) -> None:
        user = self.model[name]
        taken = [at for at, known in enumerate(duplicate) if known is False]
        new = self._new_entries(partition_of(user.name))
        assert [payload for _, payload in new] == [payloads[at] for at in taken]
        if user.accept([events[at] for at in taken], [at for at, _ in new]):
            self._raised(name)

    def _new_entries(self, partition: int) -> list[tuple[StreamId, bytes]]:
        """What came to the partition's stream since the last look; entries of other tests are left out."""
        entries = self.do(self.stores.redis("XRANGE", log_key(partition), self.start, "+"))
        own = [(StreamId.parse(at), fields[b"e"]) for at, fields in entries]
        own = [(at, payload) for at, payload in own if payload.startswith(f"{self.run}-".encode())]
        known = self.logged.get(partition, 0)
        self.logged[partition] = len(own)
        return own[known:]

    def _raised(self, name: str) -> None:
        """The sequence number rose by one, or begins above all that the user ever had."""
        user = self.model[name]
        found = int(self.do(self.stores.redis("HGET", state_key(user.name), "seq")))
        if user.sequence is None:
            assert found > self.highest[name]
        else:
            assert found == user.sequence + 1
        user.sequence = self.highest[name] = found

    # merges

    @rule(name=NAMES, into=NAMES, steps=st.sampled_from(("seal", "apply", "apply twice", "finish")))
    def merge(self, name: str, into: str, steps: str) -> None:
        """As far as a process came before it crashed; another merge of the same user goes on from there."""
        target = self.root(into)
        if name == target:
            return
        sealed = self._seal(name, target)
        if steps == "seal":
            return
        self._apply(name, sealed)
        if steps == "apply twice":
            self._apply(name, sealed)
        if steps == "finish":
            self.do(self.stores.merging.finish(self.id(name)))
            self.model[name].finished()

    def _seal(self, name: str, target: str) -> Sealed:
        user = self.model[name]
        payload = f"{user.name} merged".encode()
        sealed = self.do(self.stores.merging.seal(user.name, self.id(target), payload))
        if user.into is None:
            ((at, written),) = self._new_entries(partition_of(user.name))
            assert written == payload
            user.into, user.sealed = target, at
        assert self._new_entries(partition_of(user.name)) == []
        assert (sealed.into, sealed.at) == (self.id(user.into), user.sealed)
        assert len(sealed.records) == len(user.recent)
        return sealed

    def _apply(self, name: str, sealed: Sealed) -> None:
        user = self.model[name]
        assert user.into is not None
        assert user.sealed is not None
        if (moved := self.model[user.into].into) is not None:
            applied = self.do(self.stores.merging.apply(self.id(user.into), sealed))
            assert (applied.changed, applied.moved_to) == (False, self.id(moved))
        root = self.root(name)
        applied = self.do(self.stores.merging.apply(self.id(root), sealed))
        changed = self.model[root].take_over(user, user.sealed)
        assert (applied.changed, applied.moved_to) == (changed, None)
        if changed:
            self._raised(root)

    # erasures

    @rule(name=NAMES)
    def erase(self, name: str) -> None:
        user = self.model[name]
        erased = self.do(self.stores.erasing.erase(user.name))
        assert erased.into == (None if user.into is None else self.id(user.into))
        assert erased.merged == set(user.merged)
        if user.into is not None:
            self.model[self.root(name)].merged.pop(user.name, None)
        assert self.do(self.stores.redis("KEYS", f"*:{user.name}")) == []
        self.model[name] = ModelUser(user.name)
        for digest in ("d1", "d2"):
            self.marked_at.pop((name, digest), None)

    # lists

    @rule(name=NAMES, digest=DIGESTS, behind=st.sampled_from((0, 0, 1)), number=st.integers(0, 9))
    def put_list(self, name: str, digest: str, behind: int, number: int) -> None:
        root = self.model[self.root(name)]
        sequence = (root.sequence or 0) - behind
        value = f"list {number}".encode()
        self.do(self.stores.state.put_list(root.name, digest, sequence, value))
        if not behind:
            root.lists[digest] = (sequence, value)
            root.marks.pop(digest, None)

    @rule(name=NAMES, digest=DIGESTS)
    def read_list(self, name: str, digest: str) -> None:
        root = self.root(name)
        user = self.model[root]
        sequence = user.sequence or 0
        found = self.do(self.stores.state.read(self.id(name), digest))
        assert (found.user_id, found.sequence) == (user.name, sequence)
        at, value = user.lists.get(digest, (None, None))
        assert found.cached == (value if at == sequence else None)
        assert (found.news is None) == (at == sequence)
        if at != sequence:
            marked = user.marks.get(digest) == sequence
            if time.monotonic() - self.marked_at.get((root, digest), 0.0) < MARK_IS_SURE_SECONDS or not marked:
                assert found.mine == (not marked)
            if found.mine:
                user.marks[digest] = sequence
                self.marked_at[root, digest] = time.monotonic()

    @rule(name=NAMES, digest=DIGESTS)
    def release(self, name: str, digest: str) -> None:
        root = self.model[self.root(name)]
        self.do(self.stores.state.release(root.name, digest, root.sequence or 0))
        if root.marks.get(digest) == (root.sequence or 0):
            del root.marks[digest]

    @invariant()
    def the_state_is_the_models(self) -> None:
        for name, (found, merged) in self.do(self._everything()).items():
            user, root = self.model[name], self.model[self.root(name)]
            assert (found.user_id, found.sequence) == (root.name, root.sequence or 0)
            assert found.news is not None
            kept = [
                Kept(event.id, event.partition, event.type, event.item_id, event.value) for event in found.news.events
            ]
            assert list(map(repr, kept)) == list(map(repr, root.recent))  # all of each, not its place alone
            assert found.news.dropped == root.dropped
            assert found.news.unwanted == {field: since / 1000 for field, since in root.unwanted.items()}
            assert merged == set(user.merged)

    async def _everything(self) -> dict[str, tuple[UserRead, set[str]]]:
        reads = asyncio.gather(*(self.stores.state.read(self.id(name), None) for name in self.model))
        merged = asyncio.gather(*(self.stores.events.merged_ids(self.id(name)) for name in self.model))
        return dict(zip(self.model, zip(await reads, await merged, strict=True), strict=True))


def test_any_interleaving_leaves_the_state_that_the_model_predicts(redis_url: str) -> None:
    run_state_machine_as_test(
        lambda: Machine(redis_url),
        settings=settings(
            max_examples=70,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
