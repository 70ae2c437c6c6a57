from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc.eventlog.position import PARTITIONS, StreamId, partition_of
from recsvc.events.schema import EVENT_TYPES, TYPE_CODES, id_problem
from recsvc.store import keys
from recsvc.store.records import RecentEvent, RecordInvalid, pack, unpack, unpack_all
from tests.store.stores import Stores, event, new_user, with_stores

OWN = 7

item_ids = st.text(min_size=1, max_size=128).filter(lambda text: id_problem(text) is None)
events = st.builds(
    RecentEvent,
    type=st.sampled_from(EVENT_TYPES),
    item_id=item_ids,
    timestamp=st.integers(946_684_800, 2**32 - 1).map(float),
    value=st.none() | st.floats(width=32, allow_nan=False),
    partition=st.integers(0, PARTITIONS - 1),
    id=st.builds(StreamId, st.integers(1_600_000_000_000, 2**48 - 1), st.integers(0, 65_535)),
)


@given(events)
def test_what_is_packed_comes_back(event: RecentEvent) -> None:
    assert unpack(pack(event, TYPE_CODES[event.type], OWN), OWN, EVENT_TYPES) == event


@given(events)
def test_any_beginning_of_a_record_is_refused_or_an_event_never_a_crash(event: RecentEvent) -> None:
    record = pack(event, TYPE_CODES[event.type], OWN)
    refused = []
    for end in range(len(record)):
        try:
            unpack(record[:end], OWN, EVENT_TYPES)
        except RecordInvalid:
            refused.append(end)
    # At the least what ends before the item's id: nine bytes of type and stream id, and one of time.
    assert refused[:11] == list(range(11))


def test_an_event_with_a_24_byte_id_and_a_value_takes_38_bytes() -> None:
    known = RecentEvent("view", "i" * 24, 1_760_000_000.0, 0.5, OWN, StreamId(1_760_000_009_123, 3))
    assert len(pack(known, TYPE_CODES["view"], OWN)) == 38


def test_an_unknown_type_and_damage_are_skipped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    known = RecentEvent("like", "v1", 1_760_000_000.0, None, OWN, StreamId(1_760_000_000_500, 0))
    good = pack(known, TYPE_CODES["like"], OWN)
    later_type = bytes([31]) + good[1:]
    not_utf8 = good[:-1] + b"\xff"
    assert unpack_all([b"", later_type, good, not_utf8, good[:5]], OWN, EVENT_TYPES) == [known]
    assert len(caplog.records) == 4


@pytest.mark.parametrize("value", [None, 0.0, -1.5, 3.4e38])
@pytest.mark.parametrize("age", [0, 255, 256, 29 * 86400, -3600])
@pytest.mark.parametrize("item", ["v", "ü💡" * 12, "i" * 128])
def test_the_script_stores_what_python_reads_and_would_have_stored(
    redis_url: str, value: float | None, age: int, item: str
) -> None:
    user = new_user()

    async def scenario(stores: Stores) -> None:
        seconds, _ = await stores.redis("TIME")
        await stores.take(user, event("e1", kind="view", item=item, value=value, timestamp=seconds - age + 0.9))
        news = (await stores.state.read(user, None)).news
        assert news is not None
        (found,) = news.events
        assert (found.type, found.item_id, found.timestamp) == ("view", item, float(seconds - age))
        assert found.value == (None if value is None else struct.unpack("f", struct.pack("f", value))[0])
        (record,) = await stores.redis("LRANGE", f"{{p{found.partition:03d}}}:recent:{user}", 0, -1)
        assert record == pack(found, TYPE_CODES["view"], found.partition)

    with_stores(redis_url, scenario)


def test_a_sequence_beyond_what_fits_is_the_highest_that_does(redis_url: str) -> None:
    user = new_user()
    milliseconds = (int(time.time()) + 600) * 1000
    known = RecentEvent("like", "v1", 1_760_000_000.0, None, OWN, StreamId(milliseconds, 70_000))
    assert unpack(pack(known, TYPE_CODES["like"], OWN), OWN, EVENT_TYPES).id == StreamId(milliseconds, 65_535)

    async def scenario(stores: Stores) -> None:
        log = keys.log_key(partition_of(user))
        await stores.redis("XADD", log, f"{milliseconds}-69999", "e", "x")
        await stores.take(user, event("e1"))
        news = (await stores.state.read(user, None)).news
        await stores.redis("DEL", log)
        assert news is not None
        assert [event.id for event in news.events] == [StreamId(milliseconds, 65_535)]

    with_stores(redis_url, scenario)
