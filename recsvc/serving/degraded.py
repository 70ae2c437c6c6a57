"""What an answer may fall back on. A closed list, documented in docs/http.md."""

from __future__ import annotations

from enum import StrEnum


class Degraded(StrEnum):
    """A part of an answer that fell back, or the reason why a list is short."""

    CACHE = "cache"
    """Redis could not be reached: the answer was computed from the bundle alone, and was not stored."""
    TRENDING = "trending"
    """The model's data has no times, so nothing is trending: popular items took the place."""
    LATEST = "latest"
    """The catalogue has no publication dates: popular items took the place."""
    FILTERS = "filters"
    """Category, exclusions or `distinct` leave fewer items than asked for."""
    END_OF_LIST = "end_of_list"
    """The list ends here: no more items are left that the user has not consumed."""
    FOLD_IN = "fold_in"
    """The history could not be folded in: the stored vector was used, or popular items where there is none."""
    NEW_USER = "new_user"
    """Nothing is known of the user, so there is nobody to compare with."""
    HISTORY = "history"
    """More happened since the model's data than is kept: the oldest of it is missing from the answer."""
    EXPERIMENT = "experiment"
    """The model of the user's variant cannot be had: the champion answered instead."""
