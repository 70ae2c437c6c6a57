"""Erased users leave the aggregates of experiment reports, too, whether or not anybody makes a report."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

logger = logging.getLogger(__name__)


async def count_again(state_dir: Path) -> None:
    """Counts what is new in the log, where reports are made at all; what fails is logged. In a process of its own: the
    analysis takes memory that a worker need not keep."""
    if not (state_dir / "analysis" / "aggregates").is_dir():
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "recsvc.analysis", "count"),
        env={**os.environ, "RECSVC_STATE_DIR": str(state_dir)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        logger.warning("the aggregates of reports could not be brought up to date: %s", lines[-1] if lines else "")
