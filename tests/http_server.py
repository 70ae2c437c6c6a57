"""An app behind a real uvicorn on a free port, and a real HTTP client of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from recsvc.listener import address_of, listen


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """Runs the app, its lifespan included, until the block ends."""
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    host, port = address_of(listener)
    try:
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
