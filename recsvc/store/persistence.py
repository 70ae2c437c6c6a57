"""What an outside Redis promises about what it was given."""

from __future__ import annotations

from typing import Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from recsvc.store.connection import RedisConnection

_WANTED: Final = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


async def persistence_report(connection: RedisConnection) -> list[str]:
    """The promises that this Redis does not make, a sentence each; empty when it keeps all that it acknowledges.

    Raises `StoreUnavailable`. A Redis that keeps CONFIG to itself is reported as unknown.
    """

    async def call(redis: Redis) -> dict[str, str] | None:
        pipeline = redis.pipeline(transaction=False)
        for name in _WANTED:
            pipeline.config_get(name)
        try:
            replies = await pipeline.execute()
        except ResponseError:
            return None
        return {_text(name): _text(value) for reply in replies for name, value in reply.items()}

    found = await connection.run(call)
    if found is None:
        return ["persistence unknown: this Redis does not show its settings, so it may lose what it acknowledged"]
    weaker: list[str] = []
    if found.get("appendonly") != "yes":
        weaker.append("appendonly is off: a Redis that crashes loses what it acknowledged since its last snapshot")
    elif found.get("appendfsync") != "always":
        weaker.append(
            f"appendfsync is {found.get('appendfsync')}: "
            "a machine that crashes loses what was acknowledged in its last second or more"
        )
    if (policy := found.get("maxmemory-policy")) != "noeviction":
        weaker.append(f"maxmemory-policy is {policy}: a Redis that is full drops keys that were acknowledged")
    return weaker


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
