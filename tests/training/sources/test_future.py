"""An event from the future is a bad row: all others would be decayed to its time."""

from __future__ import annotations

import time

import pyarrow as pa

from training.sources.times import OUT_OF_RANGE, read_times


def test_an_event_more_than_a_day_ahead_is_out_of_range() -> None:
    now = time.time()
    times = read_times(pa.chunked_array([[now, now + 3_600, now + 3 * 86_400]]))
    assert times.faults[OUT_OF_RANGE].tolist() == [False, False, True]
