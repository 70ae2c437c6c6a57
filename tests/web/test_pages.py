from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsvc.events.schema import EVENT_TYPES
from tests.running import RunningService


@pytest.fixture
def service(tmp_path: Path, redis_url: str) -> Iterator[RunningService]:
    with RunningService(tmp_path, redis_url) as running:
        yield running


def test_every_module_that_the_script_imports_is_served(service: RunningService) -> None:
    script = service.client.get("/web/feed.js").text
    imported = re.findall(r'from "\./([^"]+)"', script)
    assert imported == ["track.js"]
    for name in imported:
        answer = service.client.get(f"/web/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "innerHTML" not in answer.text


def test_the_page_sends_types_that_there_are(service: RunningService) -> None:
    scripts = service.client.get("/web/feed.js").text + service.client.get("/web/track.js").text
    sent = set(re.findall(r'type: "(\w+)"', scripts)) | set(re.findall(r'event\("(\w+)"', scripts))
    assert sent == {"view", "like", "not_interested", "impression"}
    assert sent <= set(EVENT_TYPES)
