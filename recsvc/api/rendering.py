"""Answers as the dictionaries that become their JSON. What they hold is what `schemas` says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response

from recsvc.bundle.types import NO_TIME, Bundle, ItemRow
from recsvc.serving.candidates import Source
from recsvc.serving.recommender import Answer

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
    return {"user_id": answer.user_id, **item_list(answer, fields), "next_cursor": answer.next_cursor}


def items(answer: Answer, fields: Sequence[str]) -> list[dict[str, Any]]:
    """The items of the page (`schemas.Item`)."""
    bundle, candidates = answer.model.bundle, answer.page.candidates
    rendered = []
    for position in answer.page.positions:
        row = ItemRow(int(candidates.rows[position]))
        source = _SOURCES[int(candidates.sources[position])]
        item: dict[str, Any] = {
            "id": bundle.items[row],
            "score": round(float(candidates.scores[position]), 6),
            "source": source.label,
            "reason": _reason(bundle, source, candidates.reasons[position].tolist(), titled="title" in fields),
        }
        for field in fields:
            item[field] = _field(bundle, row, field)
        rendered.append(item)
    return rendered


def _reason(bundle: Bundle, source: Source, codes: list[int], *, titled: bool) -> dict[str, Any]:
    if source is Source.ALS:
        rows = [ItemRow(row) for row in codes if row >= 0]
        because = {"type": "because_of", "items": [bundle.items[row] for row in rows]}
        return because | {"titles": [bundle.catalogue.title(row) for row in rows]} if titled else because
    category = bundle.catalogue.categories[codes[0]] if codes[0] >= 0 else None
    return {"type": source.label, "category": category}


def _field(bundle: Bundle, row: ItemRow, name: str) -> str | list[str] | None:
    catalogue = bundle.catalogue
    if name == "title":
        return catalogue.title(row)
    if name == "categories":
        return catalogue.categories_of(row)
    if name == "creator":
        return catalogue.creator(row)
    published = int(catalogue.published_at[row])
    if published == NO_TIME:
        return None
    return datetime.fromtimestamp(published, UTC).isoformat().replace("+00:00", "Z")
