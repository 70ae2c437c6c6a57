"""`python -m recsvc`: the private Redis where none is configured, then the service, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Final, NoReturn

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from recsvc import __version__
from recsvc.bundle.errors import BundleError
from recsvc.bundle.reader import open_bundle
from recsvc.bundle.registry import Registry
from recsvc.catalog.snapshot import read_erasures
from recsvc.experiments.errors import FileInvalid
from recsvc.experiments.file import read_experiments
from recsvc.listener import BACKLOG, ListenRefused, address_of, listen
from recsvc.protocol import JoiningProtocol
from recsvc.settings import Settings, SettingsInvalid, load_settings
from recsvc.store.directory_lock import DirectoryLock
from recsvc.store.embedded import EmbeddedRedis
from recsvc.store.errors import DirectoryInUse, EmbeddedRedisFailed
from recsvc.telemetry import MULTIPROCESS_VARIABLE, configure_logging, prepare_metrics_directory
from recsvc.welcome import base_url, wait_until_answering, welcome_lines
from recsvc.worker.supervisor import EventWorkers

REFUSED: Final = 2
"""Exit status: what was asked for cannot be done; the message says what to change."""

START_FAILED: Final = 3
"""Exit status: the app did not come up; the log says why."""

APPLICATION: Final = "recsvc.asgi:application"

_DRAIN_SECONDS: Final = 10
_PATIENCE_SECONDS: Final = 120.0


class StartRefused(Exception):  # noqa: N818
    """The service cannot start as things are; the message has the remedy."""


class _Asked(threading.Event):
    """Set, too, from the moment at which a signal to end waits to be handled: nothing long goes on then."""

    def __init__(self, waiting: list[int]) -> None:
        super().__init__()
        self._waiting = waiting

    def is_set(self) -> bool:
        return super().is_set() or signal.SIGTERM in self._waiting or signal.SIGINT in self._waiting


class _Supervisor(Multiprocess):
    """Of the worker processes."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.should_exit = _Asked(self.signal_queue)

    def terminate_all(self) -> None:
        """Ends the workers. A new connection is then refused at once, instead of waiting for an accept in vain."""
        super().terminate_all()
        for listener in self.sockets:
            listener.close()

    def keep_subprocess_alive(self) -> None:
        """Starts another worker for one that died or hangs."""
        before = self._pids()
        super().keep_subprocess_alive()
        self._forget(before)

    def handle_usr2(self) -> None:
        """Replaces each worker by a new process, one after the other: the old one goes once the new one answers."""
        before = self._pids()
        self.restart_all()
        self._forget(before)

    def _pids(self) -> set[int]:
        return {process.pid for process in self.processes if process.pid is not None}

    def _forget(self, before: set[int]) -> None:
        """Takes the workers that are gone out of the metrics of this moment; what they counted stays."""
        for gone in before - self._pids():
            mark_process_dead(gone)  # type: ignore[no-untyped-call]

    def handle_hup(self) -> None:
        """The terminal was closed: that ends the service, as it does with one worker."""
        self.handle_term()


def main() -> NoReturn:
    """The command: exits with 0 after Ctrl-C or SIGTERM, 2 when it cannot start as configured, 3 when it failed to."""
    parser = argparse.ArgumentParser(
        prog="recsvc", description="Serves recommendations over HTTP. Settings: RECSVC_* variables, docs/settings.md."
    )
    parser.add_argument("--version", action="version", version=f"recsvc {__version__}")
    parser.parse_args()
    try:
        sys.exit(serve(load_settings()))
    except (SettingsInvalid, StartRefused, ListenRefused, DirectoryInUse, EmbeddedRedisFailed) as exc:
        print(exc, file=sys.stderr)
        sys.exit(REFUSED)
    except KeyboardInterrupt:
        sys.exit(0)


def serve(settings: Settings, application: str = APPLICATION) -> int:
    """Runs until a signal comes; returns the exit status. Whatever was started is stopped, in reverse order.

    `application` is what each process that answers makes its app with, as `module:function`.
    """
    configure_logging(settings.log_level, settings.log_format)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    version = _champion(settings)
    _check_experiments(settings)
    with ExitStack() as opened:
        listener = opened.enter_context(listen(settings.host, settings.port))
        _own_state_directory(settings, opened)
        if settings.redis_url is None:
            redis = opened.enter_context(EmbeddedRedis(settings.state_dir))
            os.environ["RECSVC_REDIS_URL"] = redis.url
        opened.enter_context(EventWorkers(settings.event_workers))
        if settings.workers > 1:
            os.environ[MULTIPROCESS_VARIABLE] = str(prepare_metrics_directory(settings.state_dir))
        threading.Thread(target=_welcome, args=(settings, listener, version), name="welcome", daemon=True).start()
        return _run(settings, listener, application)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _champion(settings: Settings) -> str:
    registry = Registry(settings.models_dir)
    try:
        version = registry.champion()
        if version is not None:
            registry.path(version)
    except BundleError as exc:
        raise StartRefused(f"{settings.models_dir}: {exc}") from exc
    if version is None:
        raise StartRefused(
            f"{settings.models_dir} has no champion to serve; train one first: make train promote "
            "(or set RECSVC_MODELS_DIR to where the models are)"
        )
    return version


def _check_experiments(settings: Settings) -> None:
    """Each worker reads the file for itself; a mistake in it is to be told once, before any of them."""
    if settings.experiments_file is not None:
        try:
            read_experiments(settings.experiments_file)
        except FileInvalid as exc:
            raise StartRefused(str(exc)) from exc


def _own_state_directory(settings: Settings, opened: ExitStack) -> None:
    try:
        # The workers of a service that was killed a moment ago may still be answering their last requests.
        lock = DirectoryLock(settings.state_dir / "service.lock", patience_seconds=2.0)
    except OSError as exc:
        raise StartRefused(f"RECSVC_STATE_DIR: cannot write to {settings.state_dir}: {exc.strerror}") from exc
    opened.callback(lock.release)


def _run(settings: Settings, listener: socket.socket, application: str) -> int:
    config = uvicorn.Config(
        application,
        factory=True,
        workers=settings.workers,
        http=JoiningProtocol,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        timeout_worker_healthcheck=30,
    )
    if settings.workers > 1:
        supervisor = _Supervisor(config, sockets=[listener])
        supervisor.run()
        failed = any(process.exitcode == START_FAILED for process in supervisor.processes)
        return START_FAILED if failed else 0
    # uvicorn repeats the signal that ended it, which would end us before Redis is stopped.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _already_leaving)
    signal.signal(signal.SIGHUP, _end_as_by_sigterm)
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else START_FAILED


def _end_as_by_sigterm(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)


def _already_leaving(_number: int, _frame: FrameType | None) -> None:
    return None


def _welcome(settings: Settings, listener: socket.socket, version: str) -> None:
    host, port = address_of(listener)
    if not wait_until_answering(host, port, _PATIENCE_SECONDS):
        return
    url = base_url(host, port)
    lines = [f"recsvc {__version__} answers on {url} (documentation: {url}/docs, Ctrl-C stops it)"]
    try:
        # The service has just verified it, so the receipt makes this quick.
        bundle = open_bundle(Registry(settings.models_dir).path(version), settings.state_dir / "receipts")
        lines += welcome_lines(
            url, bundle, read_erasures(settings.state_dir).tombstones, keys_needed=bool(settings.api_key_entries())
        )
    except BundleError as exc:
        lines.append(f"{version}: {exc}")
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
