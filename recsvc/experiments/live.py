"""The experiments as every process knows them: those of the file, and those in Redis, followed as they change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence, Set
from typing import Final, Protocol

from pydantic import ValidationError

from recsvc.experiments.assignment import Assigner
from recsvc.experiments.definition import Experiment
from recsvc.experiments.written import DefinitionFiles
from recsvc.store.errors import StoreUnavailable
from recsvc.store.experiment_store import ExperimentStore

logger = logging.getLogger(__name__)

MAX_RUNNING: Final = 20
"""Experiments at a time: a token carries all that a user is in, and every one costs each request a few microseconds."""


_PATIENCE_SECONDS: Final = 0.5
"""A model that takes longer to be opened does not hold up the experiments."""


class Models(Protocol):
    """Where the models of running experiments are kept open."""

    async def hold(self, versions: Set[str], patience_seconds: float) -> None:
        """Opens these and keeps them beside the others; waits so long at most."""

    def let_go(self, versions: Set[str]) -> None:
        """Keeps none but these any more."""


class LiveExperiments:
    """Holds one `Assigner`, replaced as a whole when anything changes. For use from one event loop.

    While Redis is away what was known last goes on. What Redis lost is gone: no process writes definitions back.
    """

    def __init__(
        self,
        store: ExperimentStore,
        fixed: Sequence[Experiment],
        poll_seconds: float,
        models: Models,
        files: DefinitionFiles,
    ) -> None:
        """`fixed` are those of the file, which stand before stored ones of the same key; `files` where what is known
        is written for reports."""
        self.fixed = {experiment.key: experiment for experiment in fixed}
        self._store = store
        self._poll_seconds = poll_seconds
        self._models = models
        self._files = files
        self._version: bytes | None = None
        self._one_look = asyncio.Lock()
        self._complaint = ""
        self._poller: asyncio.Task[None] | None = None
        self.assigner = Assigner()

    async def start(self) -> None:
        """Loads what Redis has, and begins to follow the changes."""
        await self._use(self.fixed.values())
        await self._look()
        self._poller = asyncio.create_task(self._poll(), name="experiments")

    async def close(self) -> None:
        """Stops following."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)

    async def caught_up(self) -> None:
        """Returns once what was changed before the call is in effect here. Raises `StoreUnavailable`."""
        async with self._one_look:
            if await self._store.version() == self._version:
                return
            version, found = await self._store.everything()
            await self._use(self._read(found))
            self._version = version

    def _read(self, found: dict[str, bytes]) -> Collection[Experiment]:
        experiments = dict(self.fixed)
        for key, value in found.items():
            if key in self.fixed:
                logger.warning("experiment %s is in the file of experiments: the stored one of that key rests", key)
                continue
            try:
                experiments[key] = Experiment.model_validate_json(value)
            except ValidationError as exc:
                # Of a later release, say. The others are not to suffer.
                logger.error("experiment %s is not understood and left out: %s", key, exc)  # noqa: TRY400
        return experiments.values()

    async def _use(self, experiments: Collection[Experiment]) -> None:
        assigner = Assigner(experiments)
        # Before anybody is assigned: who came while a model is being opened would be answered by the champion.
        await self._models.hold(assigner.models, _PATIENCE_SECONDS)
        self.assigner = assigner
        self._models.let_go(assigner.models)
        await asyncio.to_thread(self._files.write, experiments)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self._look()

    async def _look(self) -> None:
        """One look at Redis that keeps what is known, whatever happens."""
        try:
            await self.caught_up()
        except StoreUnavailable as exc:
            self._complain(f"changes of experiments cannot be followed: {exc}")
        except Exception as exc:
            # Nobody awaits the task that polls: an unforeseen error must not silently end the following.
            if self._complain(f"following experiments failed: {exc!r}"):
                logger.exception("the failure was")
        else:
            if self._complaint:
                logger.info("changes of experiments are followed again")
            self._complaint = ""

    def _complain(self, message: str) -> bool:
        """Logs what is wrong once, not five times a second; says whether it did."""
        if message == self._complaint:
            return False
        self._complaint = message
        logger.warning("%s", message)
        return True
