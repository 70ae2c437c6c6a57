"""Similar items, similar users, and the lists that are the same for everybody."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.bundle.types import Bundle
from tests.running import RunningService, ids


class TestSimilarItems:
    def test_nearest_by_cosine_without_the_item_itself(self, service: RunningService, bundle: Bundle) -> None:
        answer = service.get("/v1/items/v010/similar", limit=5)
        factors = np.asarray(bundle.item_factors, dtype=np.float64)
        unit = factors / np.linalg.norm(factors, axis=1, keepdims=True)
        row = bundle.items.row_of("v010")
        assert row is not None
        best = [bundle.items[int(i)] for i in np.argsort(-(unit @ unit[row])) if i != row][:5]
        assert ids(answer) == best
        assert answer["item_id"] == "v010"

    def test_list_is_full_beyond_what_is_near(self, service: RunningService) -> None:
        answer = service.get("/v1/items/v010/similar", limit=100)
        assert len(set(ids(answer))) == 100
        assert "v010" not in ids(answer)
        assert answer["degraded"] == []

    def test_unknown_item_is_a_404_problem(self, service: RunningService) -> None:
        answer = service.client.get("/v1/items/a%2Fb/similar")
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:recsvc:problem:item-unknown"
        assert "a/b" in answer.json()["detail"]


class TestSimilarUsers:
    def test_best_first_without_the_user(self, service: RunningService) -> None:
        answer = service.get("/v1/users/u001/similar", limit=10)
        scores = [user["score"] for user in answer["users"]]
        assert len(scores) == 10
        assert scores == sorted(scores, reverse=True)
        assert "u001" not in {user["id"] for user in answer["users"]}
        assert answer["degraded"] == []

    def test_fewer_users_than_asked_for_is_said(self, service: RunningService) -> None:
        answer = service.get("/v1/users/u001/similar", limit=100)
        assert len(answer["users"]) == 39
        assert answer["degraded"] == ["end_of_list"]

    def test_unknown_user_is_a_new_user_and_no_error(self, service: RunningService) -> None:
        answer = service.get("/v1/users/nobody/similar")
        assert answer["users"] == []
        assert answer["degraded"] == ["new_user"]


class TestLists:
    @pytest.mark.parametrize("name", ["popular", "trending", "latest"])
    def test_is_full_and_in_order(self, service: RunningService, bundle: Bundle, name: str) -> None:
        answer = service.get(f"/v1/lists/{name}", limit=50)
        values = {
            "popular": bundle.popularity,
            "trending": bundle.trending,
            "latest": bundle.catalogue.published_at,
        }[name]
        shown = [values[bundle.items.row_of(item)] for item in ids(answer)]
        assert shown == sorted(values.tolist(), reverse=True)[:50]
        assert {item["source"] for item in answer["items"]} == {name}

    def test_category_filters_and_a_short_list_says_so(self, service: RunningService) -> None:
        answer = service.get("/v1/lists/popular", category="music", limit=100, fields="categories")
        assert len(answer["items"]) == 75
        assert all(item["categories"] == ["music"] for item in answer["items"])
        assert answer["degraded"] == ["filters"]

    @pytest.mark.parametrize("name", ["trending", "latest"])
    def test_popular_items_stand_in_where_there_are_no_times(self, service: RunningService, name: str) -> None:
        version = service.publish(promote=False, has_time=False)
        answer = service.get(f"/v1/lists/{name}", model=version)
        assert len(answer["items"]) == 20
        assert {item["source"] for item in answer["items"]} == {"popular"}
        assert answer["degraded"] == [name]

    def test_another_name_is_a_422_problem(self, service: RunningService) -> None:
        answer = service.client.get("/v1/lists/best")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/path/name"
