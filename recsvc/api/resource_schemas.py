"""The bodies of items and users as resources: what is sent, and what answers hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from recsvc.api.parameters import Id
from recsvc.api.schemas import Asked, ElementProblem, Time
from recsvc.catalog.live import Attribute, LiveItem

MAX_RESOURCES: Final = 1_000
"""Items or users of one batch."""
MAX_RESOURCE_BYTES: Final = 8 * 1024
"""Of one item or user as it is stored, in JSON."""
MAX_TITLE_CHARACTERS: Final = 500
MAX_ITEM_CATEGORIES: Final = 32
MAX_ATTRIBUTES: Final = 64
MAX_NAME_CHARACTERS: Final = 64
MAX_VALUE_CHARACTERS: Final = 256


def _attribute(value: object) -> Attribute:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > MAX_VALUE_CHARACTERS:
            raise ValueError(f"has {len(value)} characters, more than {MAX_VALUE_CHARACTERS}")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("is not valid Unicode (a lone surrogate)") from None
        return value
    if not isinstance(value, (int, float)):
        raise ValueError("is neither a string, nor a number, nor true or false")  # noqa: TRY004 - for pydantic
    try:
        return float(value)  # one kind of number, so that 3 and 3.0 are the same
    except OverflowError:
        raise ValueError("is a number out of range") from None


def _in_range(value: datetime) -> datetime:
    try:
        moment = value.astimezone(UTC)
        datetime.fromtimestamp(moment.timestamp(), UTC)  # the last microseconds of 9999 are the year 10000 as a float
    except (OverflowError, ValueError):
        raise ValueError("is not within the years 1 to 9999 of UTC; send null where there is no end") from None
    return moment


def _distinct(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Moment = Annotated[Time, AfterValidator(_in_range)]
Categories = Annotated[list[Id], Field(max_length=MAX_ITEM_CATEGORIES), AfterValidator(_distinct)]
Attributes = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)],
        Annotated[str | float | bool, BeforeValidator(_attribute)],
    ],
    Field(
        max_length=MAX_ATTRIBUTES,
        description=f"Names of 1-{MAX_NAME_CHARACTERS} characters; strings of at most {MAX_VALUE_CHARACTERS}, numbers, "
        "true, false.",
    ),
]
_ITEM_EXAMPLE: Final[dict[str, Any]] = {
    "title": "Ten minute noodles",
    "creator": "c4",
    "categories": ["cooking"],
    "published_at": "2026-11-22T05:00:00Z",
    "expires_at": None,
    "hidden": False,
    "quality": 1.0,
    "attributes": {"language": "en", "minutes": 10},
}


class ItemBody(Asked):
    """The whole of an item; what is not sent has its default. `updated_at`, which answers hold, is ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ITEM_EXAMPLE]})

    item_id: Id | None = Field(default=None, description="If sent, the one of the address.")
    title: Annotated[str, Field(max_length=MAX_TITLE_CHARACTERS)] | None = None
    creator: Id | None = None
    categories: Categories = Field(default_factory=list)
    published_at: Moment | None = Field(
        default=None, description="Not recommended before. None: the date it has, or now for a new item."
    )
    expires_at: Moment | None = Field(default=None, description="Not recommended from then on.")
    hidden: Annotated[bool, Field(strict=True, description="Not recommended, on any list.")] = False
    quality: Annotated[float, Field(strict=True, ge=0, le=1, description="Its scores are multiplied by it.")] = 1.0
    attributes: Attributes = Field(default_factory=dict)
    updated_at: Any = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _expires_after_it_is_published(self) -> Self:
        if self.published_at is not None and self.expires_at is not None and self.expires_at <= self.published_at:
            raise ValueError("expires_at is not later than published_at; correct one of them, or send null")
        return self

    def item(self, item_id: str) -> LiveItem:
        """As a live item; when it was changed is for the catalogue to say."""
        return LiveItem(
            item_id=item_id,
            title=self.title or "",
            creator=self.creator or "",
            categories=tuple(self.categories),
            published_at=None if self.published_at is None else self.published_at.timestamp(),
            expires_at=None if self.expires_at is None else self.expires_at.timestamp(),
            hidden=self.hidden,
            quality=self.quality,
            attributes=self.attributes,
        )


class BatchItem(ItemBody):
    """One item of a batch."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"item_id": "v9"} | _ITEM_EXAMPLE]})

    item_id: Id = Field()


class ItemsBatch(Asked):
    """Several items at once. A wrong one gets a problem in its place; the others are put."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [{"item_id": "v9"} | _ITEM_EXAMPLE]}]})

    items: Annotated[
        list[Any],
        Field(min_length=1, max_length=MAX_RESOURCES, json_schema_extra={"items": BatchItem.model_json_schema()}),
    ]


class ItemShown(BaseModel):
    """An item as it is now. What is not known is null; `updated_at` is null for one that never was changed here."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"item_id": "v9"} | _ITEM_EXAMPLE | {"updated_at": "2026-11-22T05:00:00Z"}]}
    )

    item_id: str
    title: str | None
    creator: str | None
    categories: list[str]
    published_at: str | None
    expires_at: str | None
    hidden: bool
    quality: float
    attributes: dict[str, str | float | bool]
    updated_at: str | None


class ItemPut(BaseModel):
    """What became of one item of a batch. A rejected one was not put, and its problem says why."""

    item_id: str | None = Field(description="As sent; null where it is no id.")
    status: Literal["created", "replaced", "rejected"]
    problem: ElementProblem | None = None


class ItemsAnswer(BaseModel):
    """One result per item, in their order."""

    results: list[ItemPut]


def shown_item(item: LiveItem) -> dict[str, Any]:
    """The item as `ItemShown` says."""
    return {
        "item_id": item.item_id,
        "title": item.title or None,
        "creator": item.creator or None,
        "categories": list(item.categories),
        "published_at": shown_time(item.published_at),
        "expires_at": shown_time(item.expires_at),
        "hidden": item.hidden,
        "quality": item.quality,
        "attributes": dict(item.attributes),
        "updated_at": shown_time(item.updated_at or None),
    }


def shown_time(seconds: float | None) -> str | None:
    """Unix seconds in RFC 3339, UTC; None for None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
