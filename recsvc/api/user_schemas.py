"""The bodies of users as resources: what is sent, and what answers hold."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from recsvc.api.parameters import Id
from recsvc.api.resource_schemas import MAX_RESOURCES, Attributes, Categories, shown_time
from recsvc.api.schemas import Asked, ElementProblem
from recsvc.users.erasure import Receipt
from recsvc.users.profiles import Profile

_USER_EXAMPLE: Final[dict[str, Any]] = {
    "attributes": {"country": "de", "plan": "free"},
    "interests": ["cooking", "music"],
}
_TIMES_EXAMPLE: Final = {"created_at": "2026-11-22T05:00:00Z", "updated_at": "2026-11-22T05:00:00Z"}


class UserBody(Asked):
    """The whole of a user; what is not sent has its default. The times, which answers hold, are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [_USER_EXAMPLE]})

    user_id: Id | None = Field(default=None, description="If sent, the one of the address.")
    attributes: Attributes = Field(default_factory=dict)
    interests: Categories = Field(
        default_factory=list, description="Categories; they count until something is known of what the user did."
    )
    created_at: Any = Field(default=None, exclude=True)
    updated_at: Any = Field(default=None, exclude=True)

    def profile(self) -> Profile:
        """As a profile; when it was changed is for the profiles to say."""
        return Profile(self.attributes, tuple(self.interests))


class BatchUser(UserBody):
    """One user of a batch."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "u1"} | _USER_EXAMPLE]})

    user_id: Id = Field()


class UsersBatch(Asked):
    """Several users at once. A wrong one gets a problem in its place; the others are put."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"users": [{"user_id": "u1"} | _USER_EXAMPLE]}]})

    users: Annotated[
        list[Any],
        Field(min_length=1, max_length=MAX_RESOURCES, json_schema_extra={"items": BatchUser.model_json_schema()}),
    ]


class UserShown(BaseModel):
    """A user. `user_id` is the account for an id that was merged into one; the times are null without a profile."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "u1"} | _USER_EXAMPLE | _TIMES_EXAMPLE]})

    user_id: str
    attributes: dict[str, str | float | bool]
    interests: list[str]
    created_at: str | None
    updated_at: str | None


class UserPut(BaseModel):
    """What became of one user of a batch. A rejected one was not put, and its problem says why."""

    user_id: str | None = Field(description="As sent; null where it is no id.")
    status: Literal["created", "replaced", "rejected"]
    problem: ElementProblem | None = None


class UsersAnswer(BaseModel):
    """One result per user, in their order."""

    results: list[UserPut]


class MergeBody(Asked):
    """Who is to be merged into the user of the address."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"from": "anon-7"}]})

    source: Id = Field(alias="from", description="The other user, for instance the id before signing in.")


class MergeAnswer(BaseModel):
    """`user_id` is the account that has it all now; `events` how many recent events this call moved."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "u1", "from": "anon-7", "status": "merged", "events": 12}]}
    )

    user_id: str
    source: str = Field(alias="from")
    status: Literal["merged", "already_merged"]
    events: int


class PendingPart(BaseModel):
    """What is not gone yet, until when, and why. `until` is null where no date can be given."""

    what: str
    until: str | None
    why: str


class ErasureReceipt(BaseModel):
    """What an erasure did, and what is still to come."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "u1",
                    "erased_at": "2026-11-22T05:00:00Z",
                    "gone": ["recent events, what was reported or not wanted, the profile and cached lists: 5 keys…"],
                    "pending": [
                        {
                            "what": "model 20261122T050100Z-3f9ac2",
                            "until": "2026-12-22T05:00:00Z",
                            "why": "it was trained with the user…",
                        }
                    ],
                }
            ]
        }
    )

    user_id: str
    erased_at: str
    gone: list[str]
    pending: list[PendingPart]


def shown_user(user_id: str, profile: Profile | None) -> dict[str, Any]:
    """The user as `UserShown` says."""
    shown = profile or Profile()
    return {
        "user_id": user_id,
        "attributes": dict(shown.attributes),
        "interests": list(shown.interests),
        "created_at": shown_time(shown.created_at or None),
        "updated_at": shown_time(shown.updated_at or None),
    }


def shown_receipt(receipt: Receipt) -> dict[str, Any]:
    """The receipt as `ErasureReceipt` says."""
    return {
        "user_id": receipt.user_id,
        "erased_at": shown_time(receipt.erased_at),
        "gone": receipt.gone,
        "pending": [{"what": part.what, "until": shown_time(part.until), "why": part.why} for part in receipt.pending],
    }
