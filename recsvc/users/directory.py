"""What is kept of users, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recsvc.store.user_state import UserState
from recsvc.users.erasure import UserErasure
from recsvc.users.merge import UserMerge
from recsvc.users.profiles import UserProfiles


@dataclass(frozen=True, slots=True)
class Users:
    """Profiles, merges and erasures. `modelled` says whether the model in use knows a user."""

    profiles: UserProfiles
    merge: UserMerge
    erasure: UserErasure
    state: UserState
    modelled: Callable[[str], bool]

    async def known(self, user_id: str) -> bool:
        """Whether anything is known of the user, apart from a profile. Raises `StoreUnavailable`."""
        if self.modelled(user_id):
            return True
        read = await self.state.read(user_id, None, mark=False)
        return read.sequence > 0
