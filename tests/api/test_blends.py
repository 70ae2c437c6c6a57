"""Lists of a blended champion, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recsvc.api.schemas import Recommendations
from tests.api.sending import event, send
from tests.builders import BLEND
from tests.running import RunningService, ids


@pytest.fixture
def blended(tmp_path: Path, redis_url: str) -> Iterator[RunningService]:
    running = RunningService(tmp_path, redis_url)
    running.publish(kind="blend", blend=BLEND)
    with running:
        yield running


def sources(answer: Any) -> set[str]:
    return {item["source"] for item in answer["items"]}


def test_each_component_is_named_and_explained_as_what_it_is(blended: RunningService) -> None:
    answers = [blended.recommend(f"u{row:03}", limit=100) for row in range(40)]
    for answer in answers:
        Recommendations.model_validate(answer)
        assert answer["degraded"] == []
        for item in answer["items"]:
            personal = item["source"] in ("als", "item-item", "content")
            assert item["reason"]["type"] == ("because_of" if personal else item["source"])
            if item["source"] == "item-item":
                assert item["reason"]["items"]
    assert {"als", "item-item", "popular"} <= set.union(*map(sources, answers))


def test_a_cached_list_is_the_computed_one(blended: RunningService) -> None:
    first = blended.recommend("u002", limit=50)
    assert blended.recommend("u002", limit=50)["items"] == first["items"]
    assert blended.metric('recsvc_cache_total{outcome="hit"}') == 1


def test_a_new_user_has_the_newcomers_list_and_the_blend_after_the_first_like(
    blended: RunningService, user: str
) -> None:
    assert sources(blended.recommend(user)) <= {"trending", "popular"}
    send(blended, event(user, item_id="v010"))
    after = blended.recommend(user)
    assert sources(after) & {"als", "item-item"}
    assert {by for item in after["items"] for by in item["reason"].get("items", [])} == {"v010"}
    assert "v010" not in ids(after)


def test_a_session_is_ranked_by_the_blend_as_a_user_with_the_same_events_is(blended: RunningService, user: str) -> None:
    liked = ["v010", "v020", "v033"]
    session = blended.post(
        "/v1/sessions/recommendations", {"events": [{"type": "like", "item_id": item} for item in liked], "limit": 30}
    )
    send(blended, *(event(user, item_id=item) for item in liked))
    assert ids(session) == ids(blended.recommend(user, limit=30))
    assert "item-item" in sources(session)
