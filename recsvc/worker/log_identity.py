"""Which log the events of a Redis go to: two directories for one stream would each miss what the other has."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from redis.asyncio import Redis

from recsvc.bundle.files import flush_directory
from recsvc.store.connection import RedisConnection
from recsvc.store.keys import LOG_KEY

FILE_NAME: Final = "LOG_ID"


class LogElsewhere(Exception):  # noqa: N818
    """The events of this Redis are written to another directory; the message has the remedy."""


async def claim_log(connection: RedisConnection, root: Path, *, adopt: bool = False) -> None:
    """Makes sure that `root` is the log of this Redis; the first that comes makes it so, as does `adopt`.

    A worker takes what the log lacks from the stream, so one that looked into another directory would write again what
    is written. Raises `LogElsewhere`, `StoreUnavailable`, OSError.
    """
    try:
        mine = _identity(root)
    except OSError as exc:
        raise OSError(f"{root} cannot be written ({exc.strerror})") from exc

    async def call(redis: Redis) -> str:
        if adopt:
            await redis.set(LOG_KEY, mine)
        else:
            await redis.set(LOG_KEY, mine, nx=True)
        return cast("bytes", await redis.get(LOG_KEY)).decode("ascii", "replace")

    known = await connection.run(call)
    if known != mine:
        raise LogElsewhere(
            f"the events of this Redis go to another log than {root} (that one is {known[:32]}, this one {mine}): "
            "let the workers share one state directory, or set RECSVC_EVENT_WORKERS=0 here; if the other log is gone "
            "for good, run once: python -m recsvc.worker --adopt-log"
        )


def _identity(root: Path) -> str:
    """The name in the directory, made on first use; processes that race agree on one."""
    file = root / FILE_NAME
    if not file.exists():
        root.mkdir(parents=True, exist_ok=True)
        aside = root / f".{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        try:
            with aside.open("w", encoding="ascii") as writing:
                writing.write(secrets.token_hex(8) + "\n")
                writing.flush()
                os.fsync(writing.fileno())
            with suppress(FileExistsError):
                os.link(aside, file)
        finally:
            aside.unlink(missing_ok=True)
        flush_directory(root)
    return file.read_text("ascii").strip()
