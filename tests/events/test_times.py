from __future__ import annotations

import pytest

from recsvc.events.errors import TimeRefused
from recsvc.events.times import EARLIEST, RECENT_SECONDS, is_recent, settle

NOW = 1_795_000_000.0
DAY = 24 * 3600.0


class TestSettle:
    def test_without_a_time_the_receipt_counts(self) -> None:
        assert settle(None, NOW) == (NOW, None)

    def test_a_time_in_the_past_is_kept_as_it_is(self) -> None:
        assert settle(NOW - 0.25, NOW) == (NOW - 0.25, None)
        assert settle(NOW, NOW) == (NOW, None)

    @pytest.mark.parametrize("ahead", [0.001, 60.0, DAY])
    def test_a_clock_ahead_by_up_to_a_day_is_set_right_and_what_it_said_is_kept(self, ahead: float) -> None:
        assert settle(NOW + ahead, NOW) == (NOW, NOW + ahead)

    def test_more_than_a_day_ahead_is_refused(self) -> None:
        with pytest.raises(TimeRefused, match="24 hours ahead"):
            settle(NOW + DAY + 1, NOW)

    def test_nothing_happened_before_the_year_2000(self) -> None:
        assert settle(EARLIEST, NOW) == (EARLIEST, None)
        with pytest.raises(TimeRefused, match="2000-01-01"):
            settle(EARLIEST - 1, NOW)


def test_what_is_older_than_thirty_days_is_not_recent() -> None:
    assert is_recent(NOW, NOW)
    assert is_recent(NOW - RECENT_SECONDS, NOW)
    assert not is_recent(NOW - RECENT_SECONDS - 1, NOW)
