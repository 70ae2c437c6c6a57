"""Answers as the dictionaries that become their JSON. What they hold is what `schemas` says."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from starlette.responses import Response

from recsvc.serving.answer import Answer
from recsvc.serving.candidates import Source
from recsvc.serving.view import LiveView

_BY_MODEL: Final = frozenset(source.value for source in Source if source.by_model)
_LABELS: Final = {source.value: source.label for source in Source}


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
    view, page = answer.model.view, answer.page
    explaining = _texts(view, page.named - answer.unnamed)
    rendered = []
    for item_id, row, score, source, codes in zip(
        view.all_bytes(page.rows), page.rows, page.scores, page.sources, page.reasons, strict=True
    ):
        item: dict[str, Any] = {"id": item_id.decode("utf-8"), "score": round(score, 6), "source": _LABELS[source]}
        if source in _BY_MODEL:
            item["reason"] = {"type": "because_of", "items": [explaining[code] for code in codes if code in explaining]}
            if "title" in fields:
                item["reason"]["titles"] = [view.title(code) for code in codes if code in explaining]
        else:
            category = view.category_name(codes[0]) if codes[0] >= 0 else None
            item["reason"] = {"type": _LABELS[source], "category": category}
        for field in fields:
            item[field] = _field(view, row, field)
        rendered.append(item)
    return rendered


def _texts(view: LiveView, rows: Set[int]) -> dict[int, str]:
    """The id of each of the rows."""
    ordered = tuple(rows)
    return {row: item_id.decode("utf-8") for row, item_id in zip(ordered, view.all_bytes(ordered), strict=True)}


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
