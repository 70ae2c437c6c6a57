"""What became of the members, as the simulation itself knows it: the truth that a report is held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.bundle.types import Bool, Float64, Int64


@dataclass(frozen=True, slots=True)
class Outcomes:
    """By member and day, (n_members, days) each: slots `looked` at and `played`, and the sum of the `chances` with
    which those looked at are played; `active` where there was an event other than an impression."""

    looked: Int64
    played: Int64
    chances: Float64
    active: Bool

    @classmethod
    def none(cls, n_members: int, days: int) -> Outcomes:
        """Before the first day."""
        shape = (n_members, days)
        return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape, np.bool_))

    @property
    def exposed(self) -> Bool:
        """Who was ever shown something; bool (n_members,)."""
        return np.asarray((self.looked > 0).any(axis=1), np.bool_)

    @property
    def first_day(self) -> Int64:
        """The day on which each was first shown something; of no meaning for who never was."""
        return np.asarray(np.argmax(self.looked > 0, axis=1), np.int64)

    def complete(self, window_days: int) -> Bool:
        """Whose outcome window, the first day included, was over by the end; bool (n_members,)."""
        days = self.looked.shape[1]
        complete: Bool = self.exposed & (self.first_day + window_days <= days)
        return complete

    def of_window(self, values: Float64 | Int64, window_days: int) -> Float64:
        """A count summed over each member's window; float64 (n_members,)."""
        day = np.arange(values.shape[1])
        inside = (day >= self.first_day[:, None]) & (day < self.first_day[:, None] + window_days)
        summed: Float64 = (values * inside).sum(axis=1).astype(np.float64)
        return summed

    def click_rate(self, members: Bool, window_days: int, *, expected: bool = False) -> float:
        """Plays per slot looked at of those members within their windows; `expected` by the chances, not the draws."""
        took = self.complete(window_days) & members
        clicks = self.of_window(self.chances if expected else self.played, window_days)[took].sum()
        return float(clicks / self.of_window(self.looked, window_days)[took].sum())

    def returned(self, members: Bool, n: int) -> tuple[int, int]:
        """How many of those members were active on day n after their first, and for how many that day was over."""
        days = self.looked.shape[1]
        over = np.flatnonzero(self.exposed & members & (self.first_day + n < days))
        return int(self.active[over, self.first_day[over] + n].sum()), len(over)

    def retention(self, members: Bool) -> Float64:
        """The share that was active on day 0, 1, 2 … after the first; NaN where nobody is that far; float64 (days,)."""
        counts = [self.returned(members, n) for n in range(self.looked.shape[1])]
        return np.array([back / of if of else np.nan for back, of in counts])
