"""Answers as the dictionaries that become their JSON. What they hold is what `schemas` says."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response

from recsvc.serving.answer import Answer
from recsvc.serving.candidates import Source
from recsvc.serving.view import LiveView

_SOURCES = {source.value: source for source in Source}


def json_response(content: dict[str, Any]) -> Response:
    """The dictionary as a JSON response, past the framework's own serialisation."""
    return Response(orjson.dumps(content), media_type="application/json")


def item_list(answer: Answer, fields: Sequence[str]) -> dict[str, Any]:
    """What every list of items holds (`schemas.ItemList`)."""
    return {
        "recommendation_id": answer.recommendation_id,
        "model_version": answer.model.version,
        "items": items(answer, fields),
        "degraded": answer.degraded,
    }


def recommendations(answer: Answer, fields: Sequence[str]) -> dict[str, Any]:
    """A page of a user (`schemas.Recommendations`)."""
    shown = {"user_id": answer.user_id, **item_list(answer, fields), "next_cursor": answer.next_cursor}
    if answer.part.arms:
        shown["experiments"] = [
            {"experiment": arm.experiment, "variant": arm.variant, "forced": arm.forced} for arm in answer.part.arms
        ]
    return shown


def items(answer: Answer, fields: Sequence[str]) -> list[dict[str, Any]]:
    """The items of the page (`schemas.Item`)."""
    if answer.mixed is not None:
        lists = _items(answer, fields), _items(answer.mixed.second, fields)
        return [lists[team][place] for team, place in answer.mixed.picks]
    return _items(answer, fields)


def _items(answer: Answer, fields: Sequence[str]) -> list[dict[str, Any]]:
    view, candidates = answer.model.view, answer.page.candidates
    rendered = []
    for position in answer.page.positions:
        row = int(candidates.rows[position])
        source = _SOURCES[int(candidates.sources[position])]
        item: dict[str, Any] = {
            "id": view.item_id(row),
            "score": round(float(candidates.scores[position]), 6),
            "source": source.label,
            "reason": _reason(view, source, candidates.reasons[position].tolist(), answer.unnamed, "title" in fields),
        }
        for field in fields:
            item[field] = _field(view, row, field)
        rendered.append(item)
    return rendered


def _reason(view: LiveView, source: Source, codes: list[int], unnamed: Set[int], titled: bool) -> dict[str, Any]:
    if source.by_model:
        rows = [row for row in codes if row >= 0 and row not in unnamed]
        because = {"type": "because_of", "items": [view.item_id(row) for row in rows]}
        return because | {"titles": [view.title(row) for row in rows]} if titled else because
    return {"type": source.label, "category": view.category_name(codes[0]) if codes[0] >= 0 else None}


def _field(view: LiveView, row: int, name: str) -> str | list[str] | None:
    if name == "title":
        return view.title(row)
    if name == "categories":
        return view.categories(row)
    if name == "creator":
        return view.creator(row)
    published = view.published_at(row)
    if published is None:
        return None
    return datetime.fromtimestamp(published, UTC).isoformat().replace("+00:00", "Z")
