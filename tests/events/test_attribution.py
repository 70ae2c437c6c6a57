from __future__ import annotations

import asyncio

import pytest

from recsvc.eventlog.event import Arm, LogEvent
from recsvc.events.attribution import MAX_AGE_SECONDS, Attributor
from recsvc.tokens import TokenSigner

NOW = 1_795_000_000.0
SIGNER = TokenSigner([b"k" * 32])


def token(user: str, *, issued: float = NOW, signer: TokenSigner = SIGNER) -> str:
    return signer.issue(issued=int(issued), placement="home", model_version="m-1", user_id=user)


def event(user: str, recommendation_id: str | None) -> LogEvent:
    return LogEvent("e", "view", user, NOW, item_id="v1", recommendation_id=recommendation_id)


def attribute(*events: LogEvent, merged: dict[str, set[str]] | None = None) -> tuple[list[LogEvent], list[str]]:
    """The events attributed, and about whose merges was asked meanwhile."""
    asked: list[str] = []

    async def merged_ids(user_id: str) -> set[str]:
        asked.append(user_id)
        return (merged or {}).get(user_id, set())

    return asyncio.run(Attributor(SIGNER, merged_ids).attribute(events, NOW)), asked


def test_an_event_without_a_token_stays_as_it_is() -> None:
    plain = event("u1", None)
    assert attribute(plain) == ([plain], [])


def test_a_token_of_the_user_gives_placement_and_model() -> None:
    [found], asked = attribute(event("u1", token("u1")))
    assert (found.attribution, found.placement, found.model_version) == ("valid", "home", "m-1")
    assert asked == []


def test_a_token_gives_the_experiments_that_its_answer_was_in() -> None:
    arms = (Arm("ranker-7", 2, "treatment"), Arm("digest", 1, "control", True))
    text = SIGNER.issue(issued=int(NOW), placement="home", model_version="m-1", user_id="u1", experiments=arms)
    [own, foreign], _ = attribute(event("u1", text), event("u2", text))
    assert (own.attribution, own.experiments) == ("valid", arms)
    assert (foreign.attribution, foreign.experiments) == ("invalid", ())


def test_a_list_for_everybody_may_lead_to_anybodys_event() -> None:
    [found], asked = attribute(event("u1", token("")))
    assert found.attribution == "valid"
    assert asked == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "r1.…",
        "r1.AAAA.AAAA",
        token("u1")[:-1],
        token("u1", signer=TokenSigner([b"o" * 32])),
        token("u1", issued=NOW - MAX_AGE_SECONDS - 2),
        token("u1", issued=NOW + 3600),
    ],
)
def test_a_token_that_does_not_hold_costs_the_attribution_and_not_the_event(text: str) -> None:
    [found], asked = attribute(event("u1", text))
    assert (found.attribution, found.placement, found.model_version) == ("invalid", None, None)
    assert found.recommendation_id == text
    assert asked == []


def test_a_token_of_another_user_is_invalid() -> None:
    [found], asked = attribute(event("u1", token("u2")))
    assert found.attribution == "invalid"
    assert asked == ["u1"]


def test_a_token_from_before_the_merge_stays_valid() -> None:
    [found], _ = attribute(event("u1", token("anon-7")), merged={"u1": {"anon-6", "anon-7"}})
    assert (found.attribution, found.placement) == ("valid", "home")


def test_the_same_token_is_asked_about_once_for_each_user() -> None:
    foreign = token("u9")
    found, asked = attribute(*(event(user, foreign) for user in ["u1", "u2", "u1", "u1", "u2"]))
    assert {each.attribution for each in found} == {"invalid"}
    assert asked == ["u1", "u2"]
