"""From a user to whom that user was merged into."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from recsvc.store.errors import MergeCircle, StoreUnavailable

T = TypeVar("T")

MAX_MERGES: Final = 4
"""So many merges in a row are followed."""


async def follow(user_id: str, ask: Callable[[str], Awaitable[tuple[bytes, T]]]) -> tuple[str, T]:
    """Who the user is now, and what `ask` gave for that one beside b"": whom a user was merged into, or nobody.

    Raises `StoreUnavailable` at the end of the way when it leads on, `MergeCircle` when it leads round.
    """
    way: list[str] = []
    for _ in range(MAX_MERGES + 1):
        into, answer = await ask(user_id)
        if not into:
            return user_id, answer
        way.append(user_id)
        user_id = into.decode("utf-8")
        if user_id in way:
            raise MergeCircle(tuple(way[way.index(user_id) :]))
    raise StoreUnavailable(f"more than {MAX_MERGES} merges in a row lead to {user_id!r}")
