"""The bodies: what is asked for, and what answers hold."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from recsvc.api.parameters import (
    ASSIGNED,
    DEFAULT_LIMIT,
    MAX_CATEGORIES,
    MAX_EXCLUDED,
    MAX_LIMIT,
    UNIT_ID,
    VARIANT,
    Choice,
    FieldsBody,
    Id,
)
from recsvc.events.schema import EVENT_TYPES
from recsvc.serving.degraded import Degraded

MAX_BATCH: Final = 100
MAX_SESSION_EVENTS: Final = 500

_RFC_3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _rfc_3339(value: object) -> object:
    # Left alone, numbers would be read as Unix times and dates as midnights.
    if not isinstance(value, (str, datetime)) or (isinstance(value, str) and not _RFC_3339.fullmatch(value)):
        raise ValueError("is not a time of RFC 3339; write 2026-11-22T05:00:00Z")
    return value


def _known_type(value: str) -> str:
    if value not in EVENT_TYPES:
        raise ValueError(f"no event type {value[:64]!r}; there are {', '.join(EVENT_TYPES)}")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_rfc_3339)]
EventType = Annotated[str, AfterValidator(_known_type), Field(json_schema_extra={"enum": list(EVENT_TYPES)})]


class Asked(BaseModel):
    """Base of what callers send: a field that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class ListFilters(Asked):
    """The parameters that a list has, whoever it is for."""

    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    category: Annotated[list[Id], Field(max_length=MAX_CATEGORIES, description="Any of these.")] = []
    exclude: Annotated[list[Id], Field(max_length=MAX_EXCLUDED)] = []
    fields: FieldsBody = []
    cursor: str | None = None
    model: str | None = Field(default=None, description="A version of the registry instead of the champion.")


class BatchElement(ListFilters):
    """One request of a batch: the parameters of `/v1/users/{user_id}/recommendations`."""

    user_id: Id
    unit_id: Id | None = Field(default=None, description=UNIT_ID)
    variant: Choice | None = Field(default=None, description=VARIANT)
    assigned: Choice | None = Field(default=None, description=ASSIGNED)

    @field_validator("assigned")
    @classmethod
    def _one_choice(cls, assigned: str | None, info: ValidationInfo) -> str | None:
        if assigned is not None and info.data.get("variant") is not None:
            raise ValueError("cannot be sent together with variant")
        return assigned


class BatchRequest(Asked):
    """Several users' requests at once. A wrong element gets a problem in its place; the others are answered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"requests": [{"user_id": "u0001", "limit": 5}, {"user_id": "u0002"}], "distinct": True}]
        }
    )

    requests: Annotated[
        list[Any],
        Field(
            min_length=1,
            max_length=MAX_BATCH,
            json_schema_extra={"items": BatchElement.model_json_schema()},
        ),
    ]
    distinct: Annotated[bool, Field(strict=True, description="No item twice in the whole batch.")] = False


class SessionEvent(BaseModel):
    """One event of a session. Other fields, as `/v1/events` knows them, are ignored."""

    type: EventType
    item_id: Id
    timestamp: Time | None = Field(default=None, description="RFC 3339; none counts as now.")
    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None, description="Completion of a view, 0 to 1."
    )


class SessionRequest(ListFilters):
    """What somebody anonymous did lately. Nothing of it is stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {"type": "view", "item_id": "v0003", "timestamp": "2026-11-22T05:00:00Z", "value": 0.9},
                        {"type": "like", "item_id": "v0003", "timestamp": "2026-11-22T05:01:00Z"},
                    ],
                    "limit": 5,
                }
            ]
        }
    )

    events: Annotated[list[SessionEvent], Field(max_length=MAX_SESSION_EVENTS)]


class BecauseOf(BaseModel):
    """Items that raised the score most, the user's own or the one that similar items were asked for; none is hidden."""

    type: Literal["because_of"]
    items: list[str]
    titles: list[str | None] | None = Field(default=None, description="Of these items, where `fields` asks for titles.")


class FromList(BaseModel):
    """The item is on a list that is the same for everybody, of a category where one is given."""

    type: Literal["trending", "popular", "latest"]
    category: str | None


class Item(BaseModel):
    """One recommended item. The catalogue's fields are there when `fields` asks for them."""

    id: str
    score: float = Field(description="Comparable between items of one source only.")
    source: Literal["als", "trending", "popular", "latest", "content", "item-item"]
    reason: BecauseOf | FromList
    title: str | None = None
    categories: list[str] | None = None
    creator: str | None = None
    published_at: str | None = None


class ItemList(BaseModel):
    """Items in the order to show them."""

    recommendation_id: str = Field(description="Signed; send it with the events that the list leads to.")
    model_version: str
    items: list[Item]
    degraded: list[Degraded] = Field(description="What fell back, and why the list is short if it is.")


_ITEM_EXAMPLES: Final[list[dict[str, Any]]] = [
    {
        "id": "v0009",
        "score": 0.83,
        "source": "als",
        "reason": {"type": "because_of", "items": ["v0003"]},
        "title": "Ten minute noodles",
    },
    {
        "id": "v0002",
        "score": 0.61,
        "source": "trending",
        "reason": {"type": "trending", "category": "cooking"},
        "title": "Bread for beginners",
    },
]
_LIST_EXAMPLE: Final[dict[str, Any]] = {
    "recommendation_id": "r1.cQ0TZ…",
    "model_version": "20261122T050100Z-3f9ac2",
    "items": _ITEM_EXAMPLES,
    "degraded": [],
}


class EverybodysList(ItemList):
    """A list that is the same for everybody."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LIST_EXAMPLE]})


class SimilarItems(ItemList):
    """Items like another one."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LIST_EXAMPLE | {"item_id": "v0003"}]})

    item_id: str


class InExperiment(BaseModel):
    """An experiment that the user is in."""

    experiment: str
    variant: str
    forced: bool = Field(description="For a test; left out of the analysis.")


class Recommendations(ItemList):
    """A page of a user's list."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_LIST_EXAMPLE | {"user_id": "u0001", "next_cursor": "c1.AAAAAA"}]}
    )

    user_id: str
    next_cursor: str | None = Field(description="For the next page; null at the end of the list.")
    experiments: list[InExperiment] | None = Field(default=None, description="There where the user is in any.")


class SessionRecommendations(ItemList):
    """A page of a session's list."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_LIST_EXAMPLE | {"next_cursor": None, "unknown_items": []}]}
    )

    next_cursor: str | None
    unknown_items: list[str] = Field(description="Items of the events that nothing is known of; ignored.")


class ElementProblem(BaseModel):
    """What was wrong with one element of a batch."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


class ElementRefused(BaseModel):
    """Stands in the place of an element that could not be answered."""

    problem: ElementProblem


class BatchAnswer(BaseModel):
    """One result per request, in their order."""

    results: list[Recommendations | ElementRefused]


class SimilarUser(BaseModel):
    """A user near another one."""

    id: str
    score: float = Field(description="Cosine of the factors.")


class SimilarUsers(BaseModel):
    """Users like another one; none for a new user, and `degraded` says so."""

    user_id: str
    model_version: str
    users: list[SimilarUser]
    degraded: list[Degraded]
