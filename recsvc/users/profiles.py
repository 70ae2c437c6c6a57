"""Users as a resource: what the callers say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from recsvc.catalog.live import Attribute
from recsvc.store.merging import Merging
from recsvc.store.profiles import Profiles
from recsvc.users.errors import UserBusy

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Profile:
    """`interests` categories, for as long as nothing is known of what the user did. Times are Unix seconds."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    interests: tuple[str, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Put:
    """A profile as it was stored; `user_id` whose it is, merges followed."""

    user_id: str
    profile: Profile
    created: bool


class UserProfiles:
    """Profiles, read and changed; a change is in effect at the user's next request. An id that was merged into another
    stands for that one. Every method raises `StoreUnavailable`."""

    def __init__(self, profiles: Profiles, merging: Merging, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._profiles = profiles
        self._merging = merging
        self._clock = clock

    async def get(self, user_id: str) -> tuple[str, Profile | None]:
        """Who the user is now, merges followed, and the profile if there is one."""
        root = await self._merging.root_of(user_id)
        stored = await self._profiles.get(root)
        return root, None if stored is None else from_json(stored)

    async def change(self, user_id: str, changed: Callable[[Profile], Profile]) -> Put:
        """Replaces the profile by `changed(profile)`, which gets an empty one where there is none.

        `changed` is called again where another change came between. Raises UserBusy, and what `changed` raises.
        """
        root = await self._merging.root_of(user_id)
        for _ in range(_ATTEMPTS):
            stored = await self._profiles.get(root)
            before = Profile() if stored is None else from_json(stored)
            after, now = changed(before), self._clock()
            created_at = now if stored is None else before.created_at
            profile = Profile(after.attributes, after.interests, created_at, now)
            if await self._profiles.compare_and_put(root, stored, to_json(profile)):
                return Put(root, profile, created=stored is None)
        raise UserBusy(f"user {user_id!r} is being changed by others at the same time; send the change again")


def to_json(profile: Profile) -> bytes:
    """The profile as it is stored."""
    return orjson.dumps(
        {
            "attributes": dict(profile.attributes),
            "interests": profile.interests,
            "created_at": profile.created_at,
            "updated_at": profile.updated_at,
        },
        option=orjson.OPT_SORT_KEYS,
    )


def from_json(text: bytes) -> Profile:
    """The profile that `to_json` wrote."""
    raw: dict[str, Any] = orjson.loads(text)
    return Profile(raw["attributes"], tuple(raw["interests"]), raw["created_at"], raw["updated_at"])
