"""The bodies of the OpenFeature Remote Evaluation Protocol, as far as they are used here."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field


class Context(BaseModel):
    """Who is asked about. Other attributes may be there; targeting goes by the user resource."""

    model_config = ConfigDict(extra="allow")

    targetingKey: str = Field(description="The user's id.")  # noqa: N815 - the protocol's name
    unit_id: str | None = Field(default=None, description="What experiments hash whose unit is `unit_id`.")


class EvaluationRequest(BaseModel):
    """The context of an evaluation."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"context": {"targetingKey": "u0001"}}]})

    context: Context


class EvaluationMetadata(BaseModel):
    """What else is known of the assignment."""

    phase: int
    forced: bool


class Evaluation(BaseModel):
    """A flag's value: the key of the variant. Without a value the default of the calling code counts."""

    key: str
    reason: Literal["SPLIT", "TARGETING_MATCH", "DEFAULT", "DISABLED"]
    variant: str = Field(description="Empty where there is no value.")
    value: str | None = Field(default=None, description="Left out for a user who is not in the experiment.")
    metadata: EvaluationMetadata | None = None


class BulkEvaluation(BaseModel):
    """The running experiments, by key."""

    flags: list[Evaluation]


class EvaluationFailed(BaseModel):
    """Why there is no evaluation."""

    key: str | None = None
    errorCode: Literal[  # noqa: N815
        "PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "FLAG_NOT_FOUND"
    ]
    errorDetails: str  # noqa: N815


def _request_schema() -> dict[str, Any]:
    """Without references, which would not resolve inside another document."""
    schema = EvaluationRequest.model_json_schema()
    schema["properties"]["context"] = schema.pop("$defs")["Context"]
    return schema


OFREP_REQUEST: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _request_schema()}}}
}
