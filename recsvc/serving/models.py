"""Which model answers: the champion, followed as it changes, and a few others on request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recsvc.bundle.errors import BundleError
from recsvc.bundle.reader import open_bundle
from recsvc.bundle.registry import Registry
from recsvc.catalog.live import LiveItems
from recsvc.eventlog.tombstones import Tombstones
from recsvc.serving.errors import GateRefused, NoModel
from recsvc.serving.served import ServedModel
from recsvc.serving.singleflight import SingleFlight
from recsvc.telemetry import Telemetry

logger = logging.getLogger(__name__)

_OTHERS: Final = 2
"""Opened versions kept beside the active one: the champion before, and those asked for with `model=`."""
_RETRY_SECONDS: Final = 30.0
"""A champion that could not be opened is read in full again no sooner than that."""


@dataclass(frozen=True, slots=True)
class ModelProblem:
    """Why the champion is not in use. `version` None: it is not known which one it is."""

    version: str | None
    message: str


class ModelPool:
    """Holds the active model as one reference, so that a request that took it answers from it alone.

    A champion that cannot be opened is logged, counted and kept as `problem`; the one in use stays. For use from one
    event loop; bundles are opened in threads, and changes of the active model happen one at a time.
    """

    def __init__(
        self,
        registry: Registry,
        receipts_dir: Path,
        telemetry: Telemetry,
        *,
        poll_seconds: float,
        items: LiveItems | None = None,
        erasures: Tombstones | None = None,
    ) -> None:
        """`items` and `erasures` are what changed since the bundles were made, followed by whoever gives them."""
        self.registry = registry
        self._receipts_dir = receipts_dir
        self._telemetry = telemetry
        self._poll_seconds = poll_seconds
        self._items = items
        self._erasures = erasures
        self._active: ServedModel | None = None
        self._problem: ModelProblem | None = None
        self._retry_at = 0.0
        self._others: OrderedDict[str, ServedModel] = OrderedDict()
        self._wanted: frozenset[str] = frozenset()
        self._kept: dict[str, ServedModel] = {}
        self._kept_retry_at: dict[str, float] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._openings: SingleFlight[ServedModel] = SingleFlight()
        self._changing = asyncio.Lock()
        self._poller: asyncio.Task[None] | None = None

    @property
    def active(self) -> ServedModel | None:
        """The model in use, or None when there is none yet."""
        return self._active

    @property
    def problem(self) -> ModelProblem | None:
        """Why the registry's champion is not the active model, or None when it is."""
        return self._problem

    async def start(self) -> None:
        """Opens the champion if there is one, and begins to follow the registry."""
        await self.follow()
        self._poller = asyncio.create_task(self._poll(), name="champion poll")

    async def close(self) -> None:
        """Stops following. The active model stays for the requests that still hold it."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        for opening in self._opening:
            opening.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await self._openings.close()

    async def get(self, version: str | None = None) -> ServedModel:
        """The active model, or another version of the registry, opened once and kept for a while.

        Raises NoModel without an active model, VersionUnknown, BundleCorrupt, FormatUnsupported.
        """
        active = self._active
        if version is None:
            if active is None:
                raise NoModel("no model is in use yet; train and promote one (make train), or see /readyz")
            return active
        if active is not None and version == active.version:
            return active
        known = self._kept.get(version) or self._others.get(version)
        if known is not None:
            if version in self._others:
                self._others.move_to_end(version)
            return known
        opened = await self._openings.run(version, lambda: self._open(version, full=False))
        self._keep(opened)
        return opened

    async def hold(self, versions: Set[str], patience_seconds: float) -> None:
        """Keeps these versions open from now on, beside what is kept. Returns once each is open or cannot be, or when
        the patience ends; then the opening goes on in the background.

        One that cannot be opened is logged, and tried again every now and then.
        """
        self._wanted |= versions
        opening = asyncio.create_task(self._open_wanted(), name="models of experiments")
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        await asyncio.wait({opening}, timeout=patience_seconds)

    def let_go(self, versions: Set[str]) -> None:
        """Keeps none of the held versions any more but these."""
        self._wanted = frozenset(versions)
        self._kept = {version: model for version, model in self._kept.items() if version in versions}
        self._kept_retry_at = {}

    def opened(self, version: str) -> ServedModel | None:
        """The version if it is the active one or a wanted one that is open by now; nothing is opened for it."""
        active = self._active
        return active if active is not None and version == active.version else self._kept.get(version)

    async def activate(self, version: str, *, force: bool = False) -> ServedModel:
        """Verifies and opens a version in full, promotes it in the registry, and answers from it at once.

        Raises GateRefused unless `force`, VersionUnknown, BundleCorrupt, FormatUnsupported; then nothing changed.
        """
        async with self._changing:
            try:
                opened = await self._open(version, full=True)
                _check_gate(opened, force=force)
            except (BundleError, GateRefused):
                self._telemetry.activations.labels("refused").inc()
                raise
            await asyncio.to_thread(self.registry.promote, version)
            self._swap(opened)
            return opened

    async def rollback(self) -> ServedModel:
        """Returns to the champion before, once its bundle is verified and open.

        Raises NothingToRollBackTo, BundleCorrupt, FormatUnsupported; then nothing changed.
        """
        async with self._changing:
            target = await asyncio.to_thread(self.registry.rollback_target)
            try:
                opened = await self._open(target, full=True)
            except BundleError:
                self._telemetry.activations.labels("refused").inc()
                raise
            await asyncio.to_thread(self.registry.rollback, target)
            self._swap(opened)
            return opened

    async def follow(self) -> None:
        """Looks at the registry once, and changes to its champion if that is another one."""
        async with self._changing:
            version: str | None = None
            try:
                version = await asyncio.to_thread(self.registry.champion)
                if version is None or (self._active is not None and version == self._active.version):
                    self._problem = None
                elif not self._waits(version):
                    known = self._kept.get(version) or self._others.get(version)
                    self._swap(known or await self._open(version, full=False))
            except (BundleError, OSError) as exc:
                self._refuse(version, exc)

    def _waits(self, version: str) -> bool:
        problem = self._problem
        return problem is not None and problem.version == version and time.monotonic() < self._retry_at

    def _refuse(self, version: str | None, error: Exception) -> None:
        problem = ModelProblem(version, str(error))
        if problem != self._problem:
            kept = self._active.version if self._active else "none"
            logger.error("champion %s cannot be used: %s (in use: %s)", version, error, kept)
            self._telemetry.activations.labels("refused").inc()
        self._problem = problem
        self._retry_at = time.monotonic() + _RETRY_SECONDS

    def _swap(self, model: ServedModel) -> None:
        before, self._active = self._active, model
        self._problem = None
        self._others.pop(model.version, None)
        if before is None or before.version != model.version:
            if before is not None:
                self._keep(before)
            self._telemetry.activations.labels("done").inc()
            logger.info("model %s is in use", model.version)

    async def _open_wanted(self) -> None:
        for version in sorted(self._wanted - self._kept.keys()):
            if self.opened(version) is not None or time.monotonic() < self._kept_retry_at.get(version, 0.0):
                continue
            try:
                self._keep(await self.get(version))
            except (BundleError, OSError) as exc:
                logger.error("model %s of an experiment cannot be used: %s", version, exc)  # noqa: TRY400
                self._kept_retry_at[version] = time.monotonic() + _RETRY_SECONDS

    def _keep(self, model: ServedModel) -> None:
        if model.version in self._wanted:
            self._kept[model.version] = model
            return
        self._others[model.version] = model
        self._others.move_to_end(model.version)
        while len(self._others) > _OTHERS:
            self._others.popitem(last=False)

    async def _open(self, version: str, *, full: bool) -> ServedModel:
        def work() -> ServedModel:
            bundle = open_bundle(self.registry.path(version), self._receipts_dir, full=full)
            return ServedModel(bundle, self._items, self._erasures)

        return await asyncio.to_thread(work)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self.follow()
                await self._open_wanted()
            except Exception:
                # Nobody awaits this task: an unforeseen error must not silently end the following.
                logger.exception("looking for a new champion failed; trying again")


def _check_gate(model: ServedModel, *, force: bool) -> None:
    gate = model.bundle.manifest.gate
    if not gate.passed and not force:
        raise GateRefused(model.version, gate.message)
