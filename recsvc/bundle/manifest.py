"""`manifest.json`: what a bundle is, how it was made, and the checksum of each of its files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

FORMAT_VERSION: Final = 4
"""The format that is written; `READABLE` has those that are read."""
READABLE: Final = (1, 2, 3, 4)
MANIFEST_NAME: Final = "manifest.json"
SEAL_NAME: Final = "manifest.sha256"
"""Beside the manifest: its SHA-256 in hexadecimal and a line feed, so that no byte of a bundle goes unchecked."""
VERSION_PATTERN: Final = r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$"
"""A version is the UTC time of its making and six hexadecimal digits: it sorts by age and names a directory."""

Kind = Literal["als", "bpr", "item-item", "linear", "popularity", "blend"]
Component = Literal["factors", "neighbours", "popularity", "spectrum"]
COMPONENTS: Final[tuple[Component, ...]] = ("factors", "neighbours", "popularity", "spectrum")
"""What a blended score is summed of, in the order of every array that has a row for each."""
_COMPONENT_OF: Final[dict[str, Component]] = {
    "item-item": "neighbours",
    "linear": "neighbours",
    "popularity": "popularity",
}
"""The kinds whose blend has one component, everywhere alike."""

_LEAST_WEIGHT: Final = 1e-30
_MOST_WEIGHT: Final = 1e30
"""Of a blend: scores are summed in float32."""

StreamPosition = Annotated[str, Field(pattern=r"^[0-9]{1,20}-[0-9]{1,20}$")]
"""The id of an entry of the event log, as Redis writes it: `<milliseconds>-<sequence>`."""
Partition = Annotated[str, Field(pattern=r"^(?:[01][0-9]{2}|2[0-4][0-9]|25[0-5])$")]
"""Of the event log: `000` to `255`."""


class Part(BaseModel):
    """Base of the manifest's parts: closed (an unknown field is an error) and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ConfidenceRecipe(Part):
    """How events become a confidence, in training and in fold-in alike (see `recsvc.scoring.confidence`)."""

    event_weights: dict[str, float] = Field(description="Weight of one event by type; negative is dislike.")
    half_life_days: PositiveFloat | None = Field(description="Age at which an event counts half; null: no decay.")
    popularity_half_life_days: PositiveFloat | None = Field(
        default=None, description="The same for popularity alone; null: as half_life_days."
    )
    weight_cap: PositiveFloat = Field(description="|Summed weight| of a user-item pair is cut here.")
    minimum_weight: NonNegativeFloat = Field(description="Pairs whose |weight| is below are dropped.")
    unobserved_weight: PositiveFloat = Field(description="α₀: weight of an absent pair; confidence = 1 + w/α₀.")


class Objective(Part):
    """The regularised least-squares problem whose solution the user factors are."""

    regularization: NonNegativeFloat = Field(description="λ of the penalty λ·|x|², on the scale of `implicit`.")
    frequency_exponent: NonNegativeFloat = Field(
        default=0, description="ν: the penalty of user u is λ·s^ν·|x|², s the sum of their confidences over all items."
    )
    confidence: ConfidenceRecipe


class BlendSpec(Part):
    """The weights of a score that is a sum of components, by how many items the user's positive history has.

    Bucket b holds histories of up to bounds[b] items, the last one all longer histories; each component has one weight
    a bucket.
    """

    bounds: list[PositiveInt] = Field(description="Ascending; empty: one bucket for everybody.")
    weights: dict[Component, list[NonNegativeFloat]] = Field(description="By component: a weight for each bucket.")

    @model_validator(mode="before")
    @classmethod
    def _before_format_4_there_was_no_spectrum(cls, given: Any) -> Any:
        """Gives blends that were written without a weight of the spectrum one of 0."""
        weights = given.get("weights") if isinstance(given, dict) else None
        if not isinstance(weights, dict) or "spectrum" in weights or not isinstance(weights.get("factors"), Sequence):
            return given
        return {**given, "weights": {**weights, "spectrum": [0.0] * len(weights["factors"])}}

    @model_validator(mode="after")
    def _every_bucket_is_weighed(self) -> Self:
        if any(upper <= lower for lower, upper in pairwise(self.bounds)):
            raise ValueError("the bounds of a blend are not ascending")
        if set(self.weights) != set(COMPONENTS):
            raise ValueError(f"a blend has weights for {', '.join(COMPONENTS)}, 0 where one does not count")
        if any(len(values) != len(self.bounds) + 1 for values in self.weights.values()):
            raise ValueError(f"{len(self.bounds)} bounds of a blend ask for {len(self.bounds) + 1} weights a component")
        if any(value > 0 and not _LEAST_WEIGHT <= value <= _MOST_WEIGHT for v in self.weights.values() for value in v):
            raise ValueError(f"a weight of a blend is neither 0 nor from {_LEAST_WEIGHT:g} to {_MOST_WEIGHT:g}")
        if not all(any(bucket) for bucket in zip(*self.weights.values(), strict=True)):
            raise ValueError("a bucket of a blend has no weight above 0")
        return self

    @property
    def components(self) -> tuple[Component, ...]:
        """Those that count in some bucket."""
        return tuple(name for name in COMPONENTS if any(self.weights[name]))


class DataSummary(Part):
    """What the model was trained on."""

    name: str
    fingerprint: str = Field(description="SHA-256 over the contents of the files read.")
    events: NonNegativeInt
    rejected: NonNegativeInt
    interactions: NonNegativeInt
    first_event: str | None = Field(description="RFC 3339 UTC, null when the data has no times.")
    last_event: str | None
    erased: NonNegativeInt = Field(default=0, description="Events left out because their user was erased.")


class ContentSummary(Part):
    """The map from what is known of an item to its factors, and how well it ranks items that nobody has met."""

    features: PositiveInt
    items: PositiveInt = Field(description="Items it was fitted on.")
    regularization: PositiveFloat = Field(description="λ of the ridge, chosen on held-out items.")
    minimum_items: PositiveInt = Field(description="Features of fewer items were left out.")
    held_out: dict[str, float] = Field(
        description="Over other held-out items: their number, that of their users, and NDCG@10 and AUC of the map, of "
        "category popularity and of chance. Empty when there were too few."
    )


class IndexPoint(Part):
    """What one index gave at one setting: against exact search, on real user vectors, on one thread."""

    kind: str
    setting: str = Field(description="What was tried of its settings, in words; empty where there are none.")
    recall_at_100: Annotated[float, Field(ge=0, le=1)]
    search_ms_median: NonNegativeFloat
    search_ms_p99: NonNegativeFloat


class IndexSummary(Part):
    """The nearest-neighbour index, what was measured of it against exact search, and what it was chosen from."""

    kind: str
    exact: bool
    recall_at_100: Annotated[float, Field(ge=0, le=1)]
    queries: NonNegativeInt
    search_ms_median: NonNegativeFloat
    search_ms_p99: NonNegativeFloat | None = Field(default=None, description="Null: not measured.")
    pool: PositiveInt | None = Field(
        default=None, description="Items offered for a list of 100, to be scored exactly; null: the index is exact."
    )
    latency_budget_ms: PositiveFloat | None = Field(default=None, description="Within it (p99) exact search is kept.")
    recall_target: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Recall@100 that an approximate index had to reach."
    )
    measured: list[IndexPoint] = Field(default=[], description="Everything that was tried; the exact index first.")

    @model_validator(mode="after")
    def _what_is_not_exact_has_a_pool(self) -> Self:
        if self.exact != (self.pool is None):
            raise ValueError("an index has a pool where it is not exact, and only there")
        return self


class GateResult(Part):
    """The comparison with the champion's recipe refitted on the same training split."""

    champion: str | None = Field(description="Version compared with; null when there was none.")
    metric: str
    candidate_value: float
    champion_value: float | None
    tolerance: NonNegativeFloat = Field(description="Largest relative loss that still passes.")
    passed: bool
    message: str


class FileEntry(Part):
    """One file of the bundle."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: NonNegativeInt


class Manifest(Part):
    """The whole of `manifest.json`."""

    format_version: Literal[1, 2, 3, 4]
    kind: Kind
    version: Annotated[str, Field(pattern=VERSION_PATTERN)]
    created_at: str
    as_of: float | None = Field(description="Unix seconds to which weights were decayed; null: data has no times.")
    n_users: PositiveInt
    n_items: PositiveInt
    n_factors: PositiveInt
    objective: Objective
    recipe: dict[str, Any] = Field(description="The run's settings, as read from its TOML file.")
    data: DataSummary
    metrics: dict[str, dict[str, float]] = Field(description="By model (als and baselines), then by metric.")
    gate: GateResult
    index: IndexSummary
    libraries: dict[str, str]
    files: dict[str, FileEntry]
    log_ends: dict[Partition, StreamPosition] | None = Field(
        default=None, description="By partition of the event log (`042`): the last entry trained on; null: no log."
    )
    erasures_applied_at: float | None = Field(
        default=None, description="Users erased up to then (Unix seconds) are not in the data; null: not looked at."
    )
    content: ContentSummary | None = Field(default=None, description="Null where nothing is known of the items.")
    blend: BlendSpec | None = Field(default=None, description="Null for als and bpr: the factors alone are the score.")

    @property
    def has_neighbours(self) -> bool:
        """Whether the `neighbours.*` files belong to the bundle: they are listed, or a weight asks for them."""
        listed = any(name.startswith("neighbours.") for name in self.files)
        return listed or (self.blend is not None and "neighbours" in self.blend.components)

    @property
    def has_spectrum(self) -> bool:
        """Whether the `spectrum.*` files belong to the bundle: they are listed, or a weight asks for them."""
        listed = any(name.startswith("spectrum.") for name in self.files)
        return listed or (self.blend is not None and "spectrum" in self.blend.components)

    @property
    def has_orders(self) -> bool:
        """Whether the `orders.*` files belong to the bundle: they are listed."""
        return any(name.startswith("orders.") for name in self.files)

    @model_validator(mode="after")
    def _format_1_has_none_of_format_2(self) -> Self:
        added = ("log_ends", "erasures_applied_at", "content")
        if self.format_version == 1 and any(getattr(self, name) is not None for name in added):
            raise ValueError(f"a manifest of format 1 has none of {', '.join(added)}")
        return self

    @model_validator(mode="after")
    def _formats_before_3_have_none_of_it(self) -> Self:
        added = self.kind != "als" or self.blend or self.has_neighbours or self.objective.frequency_exponent
        if self.format_version < 3 and added:
            raise ValueError(
                f"a manifest of format {self.format_version} has no kind but als, no blend, no neighbours and no "
                "frequency_exponent"
            )
        return self

    @model_validator(mode="after")
    def _formats_before_4_have_no_spectrum(self) -> Self:
        if self.format_version < 4 and self.has_spectrum:
            raise ValueError(f"a manifest of format {self.format_version} has no spectrum")
        return self

    @model_validator(mode="after")
    def _kind_and_blend_agree(self) -> Self:
        if (self.kind in ("als", "bpr")) != (self.blend is None):
            raise ValueError(f"a model of kind {self.kind} has {'a' if self.blend else 'no'} blend")
        only = _COMPONENT_OF.get(self.kind)
        if only and self.blend and (self.blend.bounds or self.blend.components != (only,)):
            raise ValueError(f"a model of kind {self.kind} blends more than {only}, or by the length of the history")
        return self
