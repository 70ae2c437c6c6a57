"""Definitions of experiments: one hash, a version that every change raises, and a list of what was changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from redis.asyncio import Redis

from recsvc.store.connection import RedisConnection
from recsvc.store.keys import EXPERIMENTS_KEY, EXPERIMENTS_VERSION_KEY, experiment_audit_key

MAX_EXPERIMENTS: Final = 500
"""Kept at a time, archived ones included."""
MAX_AUDIT: Final = 500
"""Entries kept of one experiment."""
AUDIT_SECONDS: Final = 400 * 86_400
"""How long they are kept after the last one."""

_NONE: Final = b"-"

_CHANGE: Final = """
-- KEYS: definitions, version, audit. ARGV: key, new definition or '' to delete, what it must be now or '-' for none,
-- most definitions, entry for the audit, most entries, life of the audit (seconds), what its last entry must be now.
-- Reply: 'done', 'conflict' or 'full'.
local old = redis.call('HGET', KEYS[1], ARGV[1])
if (old or '-') ~= ARGV[3] or (redis.call('LINDEX', KEYS[3], -1) or '-') ~= ARGV[8] then
  return 'conflict'
end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
elseif not old and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  return 'full'
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
-- Not below the time: after Redis lost its data no version comes again.
local time = redis.call('TIME')
local version = math.max((tonumber(redis.call('GET', KEYS[2])) or 0) + 1, time[1] * 1000000 + time[2])
redis.call('SET', KEYS[2], string.format('%.0f', version))
redis.call('RPUSH', KEYS[3], ARGV[5])
redis.call('LTRIM', KEYS[3], -tonumber(ARGV[6]), -1)
redis.call('EXPIRE', KEYS[3], ARGV[7])
return 'done'
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """The definition of a key, None where there is none, and the last entry of its audit, which outlives it."""

    definition: bytes | None
    last_entry: bytes | None


class ExperimentStore:
    """Definitions as bytes of JSON. Every method raises `StoreUnavailable`."""

    def __init__(self, connection: RedisConnection, *, max_experiments: int = MAX_EXPERIMENTS) -> None:
        self._connection = connection
        self.max_experiments = max_experiments

    async def version(self) -> bytes:
        """Another one after each change; empty before the first."""

        async def call(redis: Redis) -> Any:
            return await redis.get(EXPERIMENTS_VERSION_KEY)

        found: bytes | None = await self._connection.run(call)
        return found or b""

    async def everything(self) -> tuple[bytes, dict[str, bytes]]:
        """The version, and all definitions by key as they were at that version or after it."""

        async def call(redis: Redis) -> Any:
            # In this order: what is changed in between is loaded again at the next look.
            return await redis.get(EXPERIMENTS_VERSION_KEY), await redis.hgetall(EXPERIMENTS_KEY)

        version, found = await self._connection.run(call)
        return version or b"", {key.decode("utf-8"): value for key, value in found.items()}

    async def get(self, key: str) -> Stored:
        """What there is."""

        async def call(redis: Redis) -> Any:
            # A change in between is found when this is to be changed.
            return await redis.hget(EXPERIMENTS_KEY, key), await redis.lindex(experiment_audit_key(key), -1)

        return Stored(*await self._connection.run(call))

    async def change(
        self, key: str, expected: Stored, value: bytes | None, entry: bytes
    ) -> Literal["done", "conflict", "full"]:
        """Sets the definition (None: removes it) if all is still as `expected`, and notes the entry.

        That there is no definition, as before, does not tell whether one came and went meanwhile; the audit does.
        """

        async def call(redis: Redis) -> Any:
            return await redis.eval(
                _CHANGE,
                3,
                EXPERIMENTS_KEY,
                EXPERIMENTS_VERSION_KEY,
                experiment_audit_key(key),
                *(key, value or b"", expected.definition or _NONE),
                *(self.max_experiments, entry, MAX_AUDIT, AUDIT_SECONDS, expected.last_entry or _NONE),
            )

        outcome: Literal["done", "conflict", "full"] = (await self._connection.run(call)).decode("ascii")
        return outcome

    async def audit(self, key: str) -> list[bytes]:
        """The entries, oldest first; those of an experiment that was deleted stay for a while."""

        async def call(redis: Redis) -> Any:
            return await redis.lrange(experiment_audit_key(key), 0, -1)

        found: list[bytes] = await self._connection.run(call)
        return found
