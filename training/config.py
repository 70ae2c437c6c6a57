"""The settings of a run: `default.toml`, overlaid by a preset or the caller's file, validated."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from recsvc.bundle.manifest import Component, ConfidenceRecipe, Kind, Objective
from recsvc.events.schema import EVENT_TYPES
from training.errors import ConfigInvalid

FamilyName = Literal["scalar", "pq", "pq-half", "ivf-pq", "hnsw"]
"""Approximate indexes: see `training.indexes.families`."""

_HERE: Final = Path(__file__).parent


class Section(BaseModel):
    """Base of the settings' sections: closed and immutable. Each setting is documented in `default.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """What bad input is tolerated."""

    max_reject_share: Annotated[float, Field(ge=0, le=1)]


class InteractionsConfig(Section):
    """From events to confidences."""

    half_life_days: NonNegativeFloat
    popularity_half_life_days: NonNegativeFloat
    weight_cap: PositiveFloat
    minimum_weight: NonNegativeFloat
    unobserved_weight: PositiveFloat
    event_weights: dict[Literal[EVENT_TYPES], float]  # type: ignore[valid-type]

    def recipe(self) -> ConfidenceRecipe:
        """The same settings as the manifest records them."""
        half_lives = {
            "half_life_days": self.half_life_days or None,
            "popularity_half_life_days": self.popularity_half_life_days or None,
        }
        return ConfidenceRecipe(**{**self.model_dump(), **half_lives})


class SplitConfig(Section):
    """How the test part is held out."""

    kind: Literal["auto", "temporal", "leave_last_out", "given"]
    test_share: Annotated[float, Field(gt=0, lt=1)]


class ValidationConfig(Section):
    """How a validation part is held out of the training part, to choose settings on."""

    share: Annotated[float, Field(gt=0, le=0.5)]


class AlsConfig(Section):
    """The factorisation."""

    factors: Annotated[int, Field(ge=0, le=2048)]
    regularization: PositiveFloat
    frequency_exponent: Annotated[float, Field(ge=0, le=2)]
    init_scale: PositiveFloat
    iterations: Annotated[int, Field(ge=1, le=1000)]
    patience: NonNegativeInt
    seed: Annotated[int, Field(ge=0, lt=2**32)]


class ModelConfig(Section):
    """Which model is trained and served."""

    kind: Kind


class BprConfig(Section):
    """The pairwise factorisation; its width and seed are those of `AlsConfig`."""

    learning_rate: PositiveFloat
    regularization: NonNegativeFloat
    iterations: Annotated[int, Field(ge=1, le=10_000)]


class NeighboursConfig(Section):
    """The item × item weights."""

    similarity: Literal["cosine", "bm25", "linear"]
    keep: PositiveInt
    user_exponent: Annotated[float, Field(ge=0, le=1)]
    item_exponent: Annotated[float, Field(ge=0, le=1)]
    regularization: PositiveFloat
    dropout: Annotated[float, Field(ge=0, lt=1)]
    maximum_items: PositiveInt


class SpectrumConfig(Section):
    """The linear low-pass filter."""

    dimensions: Annotated[int, Field(ge=1, le=2048)]
    user_exponent: Annotated[float, Field(ge=0, le=1)]
    item_exponent: Annotated[float, Field(ge=0, le=1)]


class BlendConfig(Section):
    """The weighted sum of components, and how its weights are learnt."""

    components: Annotated[tuple[Component, ...], Field(min_length=1)]
    factors: Literal["als", "bpr"]
    bounds: tuple[PositiveInt, ...]
    cuts: PositiveInt
    users: PositiveInt
    trials: PositiveInt
    seed: Annotated[int, Field(ge=0, lt=2**32)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError("blend.bounds have to ascend")
        if len(set(self.components)) != len(self.components):
            raise ValueError("blend.components names a component twice")
        return self


class TrendingConfig(Section):
    """Recent against long-run rates."""

    short_half_life_days: PositiveFloat
    long_half_life_days: PositiveFloat


class ContentConfig(Section):
    """The map from metadata to item factors."""

    minimum_items: PositiveInt
    regularizations: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    held_out_share: Annotated[float, Field(gt=0, lt=0.5)]


class IndexConfig(Section):
    """How the nearest-neighbour index is chosen."""

    latency_ms: PositiveFloat
    recall: Annotated[float, Field(gt=0, le=1)]
    families: tuple[FamilyName, ...]


class EvaluationConfig(Section):
    """The baselines."""

    neighbours: PositiveInt


class AgeingConfig(Section):
    """The rolling evaluation over time."""

    cuts: Annotated[int, Field(ge=1, le=100)]
    weeks: Annotated[int, Field(ge=1, le=52)]
    least_users: Annotated[int, Field(ge=2)]


class GateConfig(Section):
    """What a candidate must reach to be promoted."""

    metric: Literal["recall@10", "recall@20", "ndcg@10", "ndcg@20", "map@10", "map@20", "hr@10", "hr@20"]
    tolerance: Annotated[float, Field(ge=0, lt=1)]


class RunConfig(Section):
    """All settings of a run."""

    data: DataConfig
    interactions: InteractionsConfig
    split: SplitConfig
    validation: ValidationConfig
    model: ModelConfig
    als: AlsConfig
    bpr: BprConfig
    neighbours: NeighboursConfig
    spectrum: SpectrumConfig
    blend: BlendConfig
    trending: TrendingConfig
    content: ContentConfig
    index: IndexConfig
    evaluation: EvaluationConfig
    ageing: AgeingConfig
    gate: GateConfig

    def objective(self) -> Objective:
        """What the factors minimise, as the manifest records it."""
        return Objective(
            regularization=self.als.regularization,
            frequency_exponent=self.als.frequency_exponent,
            confidence=self.interactions.recipe(),
        )

    @model_validator(mode="after")
    def _bpr_has_room_for_a_bias(self) -> Self:
        if self.factors_kind == "bpr" and self.als.factors == 1:
            raise ValueError("als.factors has to be at least 2 for bpr: one of them is the bias of the items")
        return self

    @property
    def factors_kind(self) -> Literal["als", "bpr"]:
        """What the factors of the model are fitted by; every model has factors, whatever its kind."""
        if self.model.kind == "blend":
            return self.blend.factors
        return "bpr" if self.model.kind == "bpr" else "als"


def load_config(dataset: str, override: Path | None) -> RunConfig:
    """The defaults, overlaid by the preset of a known data set, overlaid by the caller's file.

    Raises ConfigInvalid naming the file and the setting.
    """
    presets = [path for path in (_HERE / "presets").glob("*.toml") if path.stem == dataset]
    layers = [_HERE / "default.toml", *presets, *([override] if override else [])]
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _overlay(merged, _read(layer))
    return validate_config(merged, str(layers[-1]))


def validate_config(settings: dict[str, Any], source: str) -> RunConfig:
    """Validates settings read from `source`. Raises ConfigInvalid naming the first wrong one."""
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigInvalid(
            f"{source}: setting {name}: {first['msg']}; training/default.toml documents every setting"
        ) from exc


def recorded_config(settings: dict[str, Any], source: str) -> RunConfig:
    """The settings that a manifest recorded; those that came later have their defaults. Raises ConfigInvalid."""
    return validate_config(_overlay(_read(_HERE / "default.toml"), settings), source)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as exc:
        raise ConfigInvalid(f"{path}: no such settings file; leave CONFIG out for the defaults") from exc
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigInvalid(f"{path}: not a readable TOML file: {exc}") from exc


def _overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _overlay(result[key], value) if both else value
    return result
