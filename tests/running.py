"""The app behind a real uvicorn in a thread of the test's process, on a free port, with a real HTTP client."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn

from recsvc.app import create_service
from recsvc.bundle.registry import Registry
from recsvc.listener import listen
from recsvc.protocol import JoiningProtocol
from recsvc.settings import Settings
from tests.builders import publish_bundle


class RunningService:
    """A service over `directory`/models; `publish` adds versions there, and `client` talks to it."""

    def __init__(
        self, directory: Path, redis_url: str, *, clock: Callable[[], float] = time.time, **settings: Any
    ) -> None:
        self._clock = clock
        self.models_dir = directory / "models"
        self.state_dir = directory / "state"
        self.registry = Registry(self.models_dir)
        chosen: dict[str, Any] = {"champion_poll_seconds": 0.05, "redis_timeout_milliseconds": 500}
        self._settings = Settings(
            models_dir=self.models_dir, state_dir=self.state_dir, redis_url=redis_url, **(chosen | settings)
        )

    def publish(self, *, promote: bool = True, **built: Any) -> str:
        version = publish_bundle(self.models_dir, **built)
        if promote:
            self.registry.promote(version)
        return version

    def __enter__(self) -> Self:
        listener = listen("127.0.0.1", 0)
        config = uvicorn.Config(
            create_service(self._settings, self._clock),
            http=JoiningProtocol,
            lifespan="on",
            log_config=None,
            access_log=False,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()
        self._listener = listener
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30)
        wait_until(lambda: self._server.started or not self._thread.is_alive())
        assert self._server.started, "the app did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def end(self) -> None:
        """Tells the service to end, as a signal does, and waits until it lets nobody in."""
        self._server.should_exit = True
        wait_until(lambda: not self._server.servers or not self._server.servers[0].is_serving())

    def get(self, path: str, **parameters: Any) -> Any:
        """The body of a 200."""
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **parameters: Any) -> Any:
        """The body of a 200."""
        answer = self.client.post(path, json=body, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def recommend(self, user: str, **parameters: Any) -> Any:
        return self.get(f"/v1/users/{user}/recommendations", **parameters)

    def metric(self, name: str) -> float:
        """A value of /metrics, by the name and labels in front of it; 0 when nothing was counted yet."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0


def ids(answer: Any) -> list[str]:
    """The item ids of an answer, in order."""
    return [item["id"] for item in answer["items"]]


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come about in time"
        time.sleep(0.01)
