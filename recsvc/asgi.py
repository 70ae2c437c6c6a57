"""What uvicorn starts in each process that answers: the app, made from the environment."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time

from recsvc.api.front import Front
from recsvc.app import create_service
from recsvc.lifespan import Clock
from recsvc.settings import load_settings
from recsvc.store.child_process import die_with_parent
from recsvc.telemetry import configure_logging


def application(clock: Clock = time.time) -> Front:
    """The app of this process. Raises `SettingsInvalid`.

    A worker process asks the kernel to be ended with its parent, which may be killed without a chance to see to it.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        die_with_parent(parent.pid or os.getppid())
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    app = create_service(settings, clock)
    # What was imported and built so far stays for good. A full collection that looks through it stops every answer for
    # 60 ms, twice a second under load.
    gc.collect()
    gc.freeze()
    return app
