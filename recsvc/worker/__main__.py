"""`python -m recsvc.worker`: writes events to the log until Ctrl-C or SIGTERM; with `--compact`, tidies it once."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote

from recsvc.eventlog.compact import compact_everything
from recsvc.eventlog.manifest import LogDamaged
from recsvc.eventlog.reader import DIRECTORY_NAME
from recsvc.settings import Settings, SettingsInvalid, load_settings
from recsvc.store.breaker import Breaker
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.errors import StoreUnavailable
from recsvc.telemetry import configure_logging
from recsvc.worker.erasures import ErasureFeed
from recsvc.worker.log_identity import LogElsewhere, claim_log
from recsvc.worker.service import EventWorker

REFUSED: Final = 2
"""Exit status: what was asked for cannot be done; the message says what to change."""

_TIMEOUT_MILLISECONDS: Final = 10_000
_LONGEST_DELAY_SECONDS: Final = 1.0


class WorkerRefused(Exception):  # noqa: N818
    """The worker cannot start as things are; the message has the remedy."""


def main() -> NoReturn:
    """The command: exits with 0 after Ctrl-C or SIGTERM, 2 when it cannot start as configured."""
    parser = argparse.ArgumentParser(
        prog="recsvc.worker",
        description="Writes events from Redis to the log. Settings: RECSVC_* variables, docs/settings.md.",
    )
    parser.add_argument(
        "--compact",
        action="store_true",
        help="merge the log's files, remove every row of erased users and all files that were replaced, and end",
    )
    parser.add_argument(
        "--adopt-log",
        action="store_true",
        help="from now on the events of this Redis go to the log of this state directory, and end",
    )
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        task = _adopt if arguments.adopt_log else _compact if arguments.compact else _work
        asyncio.run(task(settings))
    except (SettingsInvalid, WorkerRefused, LogDamaged, LogElsewhere, StoreUnavailable, OSError) as exc:
        print(exc, file=sys.stderr)
        sys.exit(REFUSED)
    sys.exit(0)


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    connection = _connection(settings)
    try:
        worker = EventWorker(
            connection,
            settings.state_dir,
            settings.models_dir,
            _worker_id(),
            settings.log_flush_seconds,
            settings.max_unwritten_events,
        )
        await worker.run(stop)
    finally:
        await connection.aclose()


async def _compact(settings: Settings) -> None:
    connection = _connection(settings)
    try:
        tombstones = await ErasureFeed(connection, settings.state_dir).look()
    except ValueError as exc:
        raise WorkerRefused(str(exc)) from exc
    finally:
        await connection.aclose()
    done = await asyncio.to_thread(compact_everything, settings.state_dir / DIRECTORY_NAME, tombstones)
    print(
        f"merged {done.files} files into {done.segments}, removed {done.rows_erased} rows of erased users "
        f"and {done.removed} files that were replaced"
    )


async def _adopt(settings: Settings) -> None:
    connection = _connection(settings)
    try:
        await claim_log(connection, settings.state_dir / DIRECTORY_NAME, adopt=True)
    finally:
        await connection.aclose()
    print(f"the events of this Redis go to {settings.state_dir / DIRECTORY_NAME}")


def _connection(settings: Settings) -> RedisConnection:
    url = settings.redis_url or _socket_of_service(settings.state_dir)
    breaker = Breaker(time.monotonic, longest_delay_seconds=_LONGEST_DELAY_SECONDS)
    return connect(url, timeout_milliseconds=_TIMEOUT_MILLISECONDS, breaker=breaker)


def _socket_of_service(state_dir: Path) -> str:
    """The private Redis of a service that runs on the state directory. Raises `WorkerRefused`."""
    path = state_dir.resolve() / "redis" / "redis.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError as exc:
            raise WorkerRefused(
                f"no Redis to read events from: RECSVC_REDIS_URL is not set, and no service answers at {path} ({exc}); "
                "start the service first (make serve), or set RECSVC_REDIS_URL"
            ) from exc
    return f"unix://{quote(str(path))}"


def _worker_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


if __name__ == "__main__":
    main()
