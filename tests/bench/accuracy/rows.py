"""What is measured: a data set, a recipe, and the published figures and targets that it stands beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

_SETTINGS: Final = Path(__file__).parent / "settings"
_HR, _NDCG = "hr@10 (99 negatives)", "ndcg@10 (99 negatives)"


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric by its name in `Evaluation.means`, the best published value and the target; None where there is none."""

    metric: str
    published: float | None = None
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `quick` rows take part in the short run."""

    name: str
    dataset: str
    figures: Sequence[Figure]
    quick: bool

    @property
    def settings(self) -> Path | None:
        """What the recipe changes of the data set's preset, as a CONFIG file; None where it is the preset."""
        path = _SETTINGS / f"{self.name}.toml"
        return path if path.exists() else None


def _ncf(recipe: str, hit_rate: float | None, ndcg: float | None, *, quick: bool) -> Row:
    figures = (Figure(_HR, 0.731, hit_rate), Figure(_NDCG, 0.453, ndcg))
    return Row(f"movielens-1m-ncf.{recipe}", "movielens-1m-ncf", figures, quick)


Pair: TypeAlias = tuple[float | None, float | None]
"""Of Recall@20 and NDCG@20."""


def _bars(dataset: str, recipe: str, published: Pair, targets: Pair, *, quick: bool) -> Row:
    names = ("recall@20", "ndcg@20")
    figures = tuple(Figure(*values) for values in zip(names, published, targets, strict=True))
    return Row(f"{dataset}.{recipe}", dataset, figures, quick)


_GOWALLA: Final[Pair] = (0.1872, 0.1580)
_M2: Final[Pair] = (0.2787, 0.2642)
_NONE: Final[Pair] = (None, None)

ROWS: Final[Sequence[Row]] = (
    _ncf("als", 0.729, 0.451, quick=True),
    _ncf("blend", 0.740, 0.462, quick=False),
    _ncf("blend-128", None, None, quick=True),
    _bars("gowalla", "als", _GOWALLA, (0.182, None), quick=False),
    _bars("gowalla", "blend", _GOWALLA, (0.195, 0.163), quick=False),
    _bars("gowalla", "blend-128", _GOWALLA, _NONE, quick=False),
    _bars("movielens-1m-m2", "als", _M2, _NONE, quick=False),
    _bars("movielens-1m-m2", "blend", _M2, (0.284, 0.270), quick=True),
    _bars("movielens-1m-m2", "blend-128", _M2, _NONE, quick=True),
)
"""The published figures and their sources: docs/accuracy.md. "Within .002" of .731 and .453 is .729 and .451."""
