"""Analyses on request: computed by a process of their own, beside the service, and kept until they are too old."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recsvc.store.child_process import bind_to_parent

logger = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 5
"""When to ask again for what is being computed."""

_LONGEST_SECONDS: Final = 1800.0
_AGAIN_SECONDS: Final = 30.0
"""So long a refusal is told, before it is tried again."""
_MOST_KEPT: Final = 200
_NICENESS: Final = 5
_REFUSED: Final = 2
"""The command's exit status where what was asked for cannot be answered; what it printed says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """A command of `python -m recsvc.analysis`. It leaves its result in `file`, or prints it where that is None. It is
    the same job, whichever of the files that it leaves is wanted."""

    arguments: tuple[str, ...]
    file: Path | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is: `content` of that age, `running` where a newer one is being computed, and `refused` why the last
    try gave none. At least one of them is there."""

    content: bytes | None = None
    age_seconds: float = 0.0
    running: bool = False
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class _Ended:
    """`at` Unix seconds; `printed` None where the job refused, which then says why."""

    at: float
    printed: bytes | None
    refused: str = ""


class Analyses:
    """At most one process at a time, and one for each job however many ask for it. For use from one event loop."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._turn = asyncio.Lock()
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._ended: OrderedDict[Job, _Ended] = OrderedDict()

    def get(self, job: Job, max_age_seconds: float) -> Found:
        """What there is by now, without waiting: what is missing or older than that has begun to be computed."""
        now = time.time()
        ended = self._ended.get(job)
        content, made_at = self._content(job, ended)
        age = max(0.0, now - made_at)
        if content is not None and age <= max_age_seconds:
            return Found(content, age)
        if ended is not None and ended.printed is None and now - ended.at < _AGAIN_SECONDS:
            return Found(content, age, refused=ended.refused)
        if job not in self._tasks:
            self._tasks[job] = asyncio.create_task(self._compute(job), name=f"analysis {job.arguments[0]}")
        return Found(content, age, running=True)

    async def close(self) -> None:
        """Ends what is being computed."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _content(self, job: Job, ended: _Ended | None) -> tuple[bytes | None, float]:
        if job.file is None:
            return (None, 0.0) if ended is None else (ended.printed, ended.at)
        try:
            with job.file.open("rb") as file:
                return file.read(), os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None, 0.0

    async def _compute(self, job: Job) -> None:
        try:
            async with self._turn:
                ended = await self._run(job)
        except OSError as exc:
            ended = _Ended(time.time(), None, f"the analysis could not be started: {exc}")
        finally:
            del self._tasks[job]
        self._ended[job] = ended
        self._ended.move_to_end(job)
        while len(self._ended) > _MOST_KEPT:
            self._ended.popitem(last=False)

    async def _run(self, job: Job) -> _Ended:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "recsvc.analysis", *job.arguments),
            env=os.environ | {"RECSVC_STATE_DIR": str(self._state_dir)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=_behind(os.getpid()),
        )
        try:
            printed, said = await asyncio.wait_for(process.communicate(), _LONGEST_SECONDS)
        except TimeoutError:
            return _Ended(time.time(), None, f"it took longer than {_LONGEST_SECONDS:.0f} s and was stopped")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode == 0:
            return _Ended(time.time(), printed)
        reason = said.decode("utf-8", "replace").strip()
        if process.returncode != _REFUSED:
            logger.error("python -m recsvc.analysis %s ended with %s: %s", job.arguments, process.returncode, reason)
            reason = "the analysis failed; the service's log says why"
        return _Ended(time.time(), None, reason)


def _behind(parent_pid: int) -> Callable[[], None]:
    """A child that ends with its parent, and computes when the parent has nothing to do."""
    bind = bind_to_parent(parent_pid)

    def prepare() -> None:
        os.nice(_NICENESS)
        bind()

    return prepare
