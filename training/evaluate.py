"""Measuring rankers on a split: every user with a held-out item, every metric, the same lists for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Float32, Int32, Int64
from training import beyond, metrics
from training.rankers import Ranker
from training.sources.dataset import Candidates
from training.split import Split

_DIVERSITY_USERS = 1000
_CANDIDATE_K = 10
_GROUPS = 4
_BESIDE = ("pop-lift", "gini", "calib-kl")
"""What stands in a block of its own: with all columns in one, lines would be too long to read."""


@dataclass(frozen=True, slots=True)
class ActivityGroup:
    """Users of similar activity: `n_users` with `lower`..`upper` training interactions, and their means."""

    lower: int
    upper: int
    n_users: int
    means: dict[str, dict[str, float]]

    @property
    def label(self) -> str:
        """The range of interactions, as a person reads it."""
        return f"{self.lower}" if self.lower == self.upper else f"{self.lower}–{self.upper}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, models in the order given.

    `users` int32 (m,) the rows of users with a held-out item, ascending; `activity` int64 (m,) their positive
    training interactions; `per_user` by model, then metric ("recall@20"): float32 (m,); `overall` by model:
    what is defined on all lists together (coverage, novelty in bits, diversity, popularity lift, Gini index of
    exposure, and "calib-kl", the miscalibration, where items have categories); `sampled` by model: per user of the
    given candidates, "hr@10 (99 negatives)" and so on, float32 (number of candidate users,); `recommended` by model:
    int64 (n_items,), in how many lists of length `list_length` each item is.
    """

    users: Int32
    activity: Int64
    list_length: int
    per_user: dict[str, dict[str, Float32]]
    overall: dict[str, dict[str, float]]
    sampled: dict[str, dict[str, Float32]]
    recommended: dict[str, Int64]

    def means(self) -> dict[str, dict[str, float]]:
        """Every metric of every model as one number; means over users, 0 where there is no user."""
        return {
            model: _means(self.per_user[model]) | self.overall[model] | _means(self.sampled.get(model, {}))
            for model in self.per_user
        }

    def by_activity(self) -> list[ActivityGroup]:
        """Means by quarter of training activity, least active first; fewer groups where quarters coincide."""
        if not len(self.users):
            return []
        quarters = np.linspace(0, 1, _GROUPS + 1)[1:]
        uppers = np.unique(np.quantile(self.activity, quarters, method="inverted_cdf"))
        group_of = np.searchsorted(uppers, self.activity)
        groups = []
        for code in range(len(uppers)):
            inside = group_of == code
            means = {
                model: _means({name: values[inside] for name, values in by_metric.items()})
                for model, by_metric in self.per_user.items()
            }
            activity = self.activity[inside]
            groups.append(ActivityGroup(int(activity.min()), int(activity.max()), int(inside.sum()), means))
        return groups


def evaluate(
    rankers: Sequence[Ranker],
    split: Split,
    ks: Sequence[int] = (10, 20),
    *,
    seed: int,
    categories: csr_matrix | None = None,
) -> Evaluation:
    """Ranks all unseen items for every user with a held-out item and measures the lists.

    `categories` as `beyond.category_shares` gives them, None where no item has any: then there is no miscalibration.
    `seed` picks the users (at most 1,000, the same for every ranker) whose lists diversity is measured on.
    Memory is that of the lists plus the rankers' own blocks. Raises ValueError where two rankers share a
    name.
    """
    names = [ranker.name for ranker in rankers]
    if len(set(names)) != len(names):
        raise ValueError(f"rankers need distinct names, not {names}")
    users = np.flatnonzero(np.diff(split.test.indptr)).astype(np.int32)
    test = csr_matrix(split.test[users])
    preferred = metrics.positives(split.train)
    lists = {ranker.name: ranker.rank(users, split.seen, max(ks)) for ranker in rankers}
    return Evaluation(
        users=users,
        activity=np.diff(preferred.indptr)[users].astype(np.int64),
        list_length=max(ks),
        per_user={name: metrics.accuracy(ranked, test, ks) for name, ranked in lists.items()},
        overall=_overall(lists, preferred, users, ks, seed, categories),
        sampled={ranker.name: _sampled(ranker, split.candidates) for ranker in rankers},
        recommended={name: metrics.recommended_counts(ranked, test.shape[1]) for name, ranked in lists.items()},
    )


def format_table(evaluation: Evaluation) -> str:
    """The means as plain text: one block for each list length, models as rows, the best of each column
    starred; then, at the longest lists, what they do with what is popular and with the users' categories.

    What is not accuracy has no best. Ends without a newline.
    """
    if not len(evaluation.users):
        return "no user has a held-out item: there is nothing to measure"
    means = evaluation.means()
    blocks = [_block(title, columns, means) for title, columns in _columns(means)]
    return f"{len(evaluation.users):,} users with a held-out item\n" + "\n".join(blocks)


def _overall(
    lists: dict[str, Int32],
    preferred: csr_matrix,
    users: Int32,
    ks: Sequence[int],
    seed: int,
    categories: csr_matrix | None,
) -> dict[str, dict[str, float]]:
    vectors = metrics.user_vectors(preferred)
    holders = np.diff(vectors.indptr)
    n_users = len(np.unique(vectors.indices))
    n_items = vectors.shape[0]
    percentile = beyond.popularity_percentile(holders)
    history = csr_matrix(preferred[users])
    overall: dict[str, dict[str, float]] = {}
    for name, ranked in lists.items():
        sample = np.random.default_rng(seed).permutation(len(ranked))[:_DIVERSITY_USERS]
        values = overall[name] = {}
        for k in ks:
            top = ranked[:, :k]
            values[f"coverage@{k}"] = metrics.coverage(top, n_items)
            values[f"novelty@{k}"] = metrics.novelty(top, holders, n_users)
            values[f"diversity@{k}"] = metrics.diversity(top[sample], vectors)
            values[f"pop-lift@{k}"] = beyond.popularity_lift(top, history, percentile)
            values[f"gini@{k}"] = beyond.gini(metrics.recommended_counts(top, n_items))
            if categories is not None:
                values[f"calib-kl@{k}"] = beyond.miscalibration(top, history, categories)
    return overall


def _sampled(ranker: Ranker, candidates: Candidates | None) -> dict[str, Float32]:
    if candidates is None:
        return {}
    scores = ranker.score(candidates.users, candidates.items)
    hit_rate, ndcg = metrics.sampled(scores, candidates.items, _CANDIDATE_K)
    protocol = f"({candidates.items.shape[1] - 1} negatives)"
    return {f"hr@{_CANDIDATE_K} {protocol}": hit_rate, f"ndcg@{_CANDIDATE_K} {protocol}": ndcg}


def _means(by_metric: dict[str, Float32]) -> dict[str, float]:
    return {name: float(values.mean(dtype=np.float64)) if len(values) else 0.0 for name, values in by_metric.items()}


def _columns(means: dict[str, dict[str, float]]) -> list[tuple[str, dict[str, str]]]:
    """The blocks of the table: a title, and its columns as metric → heading."""
    titles: dict[str, dict[str, str]] = {}
    beside: dict[str, dict[str, str]] = {}
    for metric in next(iter(means.values()), {}):
        what, at = metric.split("@")
        (beside if what in _BESIDE else titles).setdefault(f"@{at}", {})[metric] = what
    return list(titles.items()) + list(beside.items())[-1:]


def _block(title: str, columns: dict[str, str], means: dict[str, dict[str, float]]) -> str:
    best = {metric: max(values[metric] for values in means.values()) for metric in columns}
    left = max(len(title), *(len(model) for model in means)) + 2
    lines = [f"{title:<{left}}" + "".join(f"{heading:>10} " for heading in columns.values())]
    for model, values in means.items():
        cells = []
        for metric, heading in columns.items():
            starred = heading in ("recall", "ndcg", "map", "hr") and values[metric] == best[metric] > 0
            shown = f"{values[metric]:.2f}" if heading == "novelty" else f"{values[metric]:.4f}"
            cells.append(f"{shown:>10}{'*' if starred else ' '}")
        lines.append(f"{model:<{left}}" + "".join(cells))
    return "\n".join(line.rstrip() for line in lines)
