"""The parameters that several resources share, and what a valid one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import AfterValidator, Field

from recsvc.events.schema import MAX_ID_CHARACTERS, id_problem
from recsvc.experiments.definition import MAX_KEY_CHARACTERS
from recsvc.serving.experimenting import Chosen

FIELDS: Final = ("title", "categories", "creator", "published_at")
MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 20
MAX_CATEGORIES: Final = 20
MAX_EXCLUDED: Final = 500


def _checked_id(value: str) -> str:
    problem = id_problem(value)
    if problem is not None:
        raise ValueError(f"{problem}; an id has 1-{MAX_ID_CHARACTERS} characters, no control characters")
    return value


def checked_fields(values: Sequence[str]) -> list[str]:
    """The field names in the values of the parameter, which commas may part. Raises ValueError for an unknown one."""
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    unknown = next((name for name in names if name not in FIELDS), None)
    if unknown is not None:
        raise ValueError(f"no field {unknown[:64]!r}; there are {', '.join(FIELDS)}")
    return names


def _checked_choice(value: str) -> str:
    experiment, colon, variant = value.partition(":")
    if not (experiment and colon and variant):
        raise ValueError("is not of the form experiment:variant")
    return value


def chosen(variant: str | None, assigned: str | None) -> Chosen | None:
    """What the two parameters say; at most one of them is there."""
    named = variant or assigned
    if named is None:
        return None
    experiment, _, key = named.partition(":")
    return Chosen(experiment, key, forced=variant is not None)


Id = Annotated[
    str,
    AfterValidator(_checked_id),
    Field(description="1-128 characters, no control characters.", examples=["u0001"]),
]
UserIdPath = Annotated[Id, Path(description="Any id; an unknown one is a new user. Percent-encode `/`, `?`, `%`.")]
ItemIdPath = Annotated[Id, Path(description="An item of the model. Percent-encode `/`, `?`, `%`.")]
LimitQuery = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items wanted.")]
CategoryQuery = Annotated[
    list[Id], Query(max_length=MAX_CATEGORIES, description="Any of these categories; repeat the parameter.")
]
ExcludeQuery = Annotated[
    list[Id], Query(max_length=MAX_EXCLUDED, description="Items that must not come; repeat the parameter.")
]
FieldsQuery = Annotated[
    list[str],
    Query(
        description="Catalogue fields of each item: title, categories, creator, published_at. Commas or repeated.",
        examples=[["title,creator"]],
    ),
    AfterValidator(checked_fields),
]
CursorQuery = Annotated[str | None, Query(description="`next_cursor` of the page before, with the same categories.")]
ModelQuery = Annotated[str | None, Query(description="A version of the registry instead of the champion.")]
UNIT_ID: Final = "What experiments hash whose unit is `unit_id`: of a device, say."
VARIANT: Final = "experiment:variant to be shown for a test, marked as forced; scope experiments."
ASSIGNED: Final = "experiment:variant that another system assigned, counted like an assignment; scope experiments."
Choice = Annotated[str, Field(max_length=2 * MAX_KEY_CHARACTERS + 1), AfterValidator(_checked_choice)]
UnitIdQuery = Annotated[Id | None, Query(description=UNIT_ID)]
VariantQuery = Annotated[Choice | None, Query(description=VARIANT)]
AssignedQuery = Annotated[Choice | None, Query(description=ASSIGNED)]
FieldsBody = Annotated[
    list[str],
    AfterValidator(checked_fields),
    Field(description="Catalogue fields of each item: title, categories, creator, published_at."),
]
