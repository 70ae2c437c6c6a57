"""Variants as feature flags, asked for by an independent client: the OpenFeature SDK with its OFREP provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from tests.api.experimenters import put, start
from tests.api.sending import event, send
from tests.running import RunningService

FLAGS = "/ofrep/v1/evaluate/flags"


@pytest.fixture
def flags(service: RunningService) -> Iterator[OpenFeatureClient]:
    provider = OFREPProvider(str(service.client.base_url))
    api.set_provider_and_wait(provider, "recsvc")
    yield api.get_client("recsvc")
    api.clear_providers()
    provider.session.close()


def bulk(service: RunningService, context: dict[str, Any], **headers: str) -> Any:
    return service.client.post(FLAGS, json={"context": context}, headers=headers)


class TestFlags:
    def test_the_variant_is_that_of_the_recommendations(
        self, service: RunningService, flags: OpenFeatureClient
    ) -> None:
        start(service, "x", coverage=0.6, variants=[{"key": "a"}, {"key": "b", "weight": 2}], forced={"u001": "b"})
        seen = set()
        for number in range(40):
            user = f"u{number:03}"
            shown = service.recommend(user).get("experiments", [{"variant": "outside"}])[0]["variant"]
            assert flags.get_string_value("x", "outside", EvaluationContext(user)) == shown
            seen.add(shown)
        assert seen == {"a", "b", "outside"}
        assert flags.get_string_details("x", "", EvaluationContext("u001")).reason == Reason.TARGETING_MATCH

    def test_an_account_is_in_the_variant_of_the_visitor_it_began_as(
        self, service: RunningService, flags: OpenFeatureClient, user: str
    ) -> None:
        start(service, "x")
        for number in range(8):
            visitor, account = f"{user}-v{number}", f"{user}-a{number}"
            before = flags.get_string_value("x", "", EvaluationContext(visitor))
            send(service, event(visitor))
            service.post(f"/v1/users/{account}:merge", {"from": visitor})
            assert flags.get_string_value("x", "", EvaluationContext(account)) == before
            assert service.recommend(account)["experiments"][0]["variant"] == before

    def test_the_unit_id_is_an_attribute_of_the_context(
        self, service: RunningService, flags: OpenFeatureClient
    ) -> None:
        start(service, "x", unit="unit_id")
        for device in ("d1", "d2", "d3"):
            shown = service.recommend("u001", unit_id=device)["experiments"][0]["variant"]
            assert flags.get_string_value("x", "", EvaluationContext("u001", {"unit_id": device})) == shown
        assert flags.get_string_details("x", "none", EvaluationContext("u001")).value == "none"

    def test_what_does_not_run_is_disabled_and_what_is_not_there_is_an_error(
        self, service: RunningService, flags: OpenFeatureClient
    ) -> None:
        put(service, "draft")
        disabled = flags.get_string_details("draft", "default", EvaluationContext("u001"))
        assert (disabled.value, disabled.reason) == ("default", Reason.DISABLED)
        missing = flags.get_string_details("nowhere", "default", EvaluationContext("u001"))
        assert (missing.value, missing.error_code) == ("default", ErrorCode.FLAG_NOT_FOUND)

    @pytest.mark.parametrize(
        ("context", "code"),
        [
            (EvaluationContext(), ErrorCode.TARGETING_KEY_MISSING),
            (EvaluationContext("u\n1"), ErrorCode.INVALID_CONTEXT),
            (EvaluationContext("u1", {"unit_id": 7}), ErrorCode.INVALID_CONTEXT),
        ],
    )
    def test_a_context_that_is_wrong_is_told(
        self, service: RunningService, flags: OpenFeatureClient, context: EvaluationContext, code: ErrorCode
    ) -> None:
        start(service, "x")
        found = flags.get_string_details("x", "default", context)
        assert (found.value, found.error_code) == ("default", code)

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"{", "PARSE_ERROR"),
            (b"[]", "INVALID_CONTEXT"),
            (b'{"context": 1}', "INVALID_CONTEXT"),
            (b"\xff", "PARSE_ERROR"),
        ],
    )
    def test_a_body_that_is_none_is_told(self, service: RunningService, body: bytes, code: str) -> None:
        start(service, "x")
        for path in (FLAGS, f"{FLAGS}/x"):
            refused = service.client.post(path, content=body)
            assert (refused.status_code, refused.json()["errorCode"]) == (400, code)


class TestBulk:
    def test_all_that_run_are_there_and_the_etag_says_when_nothing_changed(self, service: RunningService) -> None:
        start(service, "x")
        start(service, "none-of-them", coverage=0.0)
        put(service, "draft")
        first = bulk(service, {"targetingKey": "u001"})
        flags = {flag["key"]: flag for flag in first.json()["flags"]}
        assert set(flags) == {"x", "none-of-them"}
        assert flags["x"]["value"] == flags["x"]["variant"] == service.recommend("u001")["experiments"][0]["variant"]
        assert flags["none-of-them"] == {"key": "none-of-them", "reason": "DEFAULT", "variant": ""}
        again = bulk(service, {"targetingKey": "u001"}, **{"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        service.post("/v1/experiments/x:stop")
        changed = bulk(service, {"targetingKey": "u001"}, **{"If-None-Match": first.headers["etag"]})
        assert (changed.status_code, len(changed.json()["flags"])) == (200, 1)

    def test_without_a_targeting_key_there_is_none(self, service: RunningService) -> None:
        refused = bulk(service, {})
        assert (refused.status_code, refused.json()["errorCode"]) == (400, "TARGETING_KEY_MISSING")
