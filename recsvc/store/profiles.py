"""Users as resources: one JSON text each."""

from __future__ import annotations

from recsvc.store import keys
from recsvc.store.following import follow
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.scripts import load_script


class Profiles:
    """Profiles as bytes of JSON. A change raises the user's sequence number, so cached lists end with it.

    An id that was merged into another stands for that one. Every method raises `StoreUnavailable`.
    """

    def __init__(self, pipeline: ScriptPipeline) -> None:
        self._pipeline = pipeline
        self._get = load_script("get_profile")
        self._put = load_script("put_profile")

    async def get(self, user_id: str) -> bytes | None:
        """The profile, or None."""
        profile, _ = await self.read(user_id)
        return profile

    async def read(self, user_id: str) -> tuple[bytes | None, int]:
        """The profile, or None, and the user's sequence number with it."""

        async def ask(candidate: str) -> tuple[bytes, tuple[bytes | None, int]]:
            into, profile, sequence = await self._pipeline.call(self._get, _names(candidate), ())
            return into, (profile, int(sequence))

        _, found = await follow(user_id, ask)
        return found

    async def put(self, user_id: str, value: bytes) -> bool:
        """Sets it; says whether it is new."""
        _, known = await self._change(user_id, (value, 0, b""))
        return not known

    async def compare_and_put(self, user_id: str, expected: bytes | None, value: bytes) -> bool:
        """Sets it if it is still `expected` (None: none); says whether it did."""
        done, _ = await self._change(user_id, (value, 1, expected or b""))
        return done

    async def delete(self, user_id: str) -> bool:
        """Removes it; says whether there was one."""
        _, known = await self._change(user_id, (b"", 0, b""))
        return known

    async def _change(self, user_id: str, arguments: tuple[bytes, int, bytes]) -> tuple[bool, bool]:
        """Whether it was done, and whether there was a profile before."""

        async def ask(candidate: str) -> tuple[bytes, tuple[bool, bool]]:
            into, done, known = await self._pipeline.call(self._put, _names(candidate), arguments)
            return into, (bool(done), bool(known))

        _, outcome = await follow(user_id, ask)
        return outcome


def _names(user_id: str) -> tuple[str, str]:
    return keys.state_key(user_id), keys.profile_key(user_id)
