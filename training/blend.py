"""Learning the weights of a blend from the training part alone, for users with short and with long histories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import COMPONENTS, BlendSpec, Component
from recsvc.bundle.types import Bool, Float32, Float64, Int32, Int64, Spectrum
from recsvc.scoring.blend import bucket_of, popularity_scores
from training.als import exact_users
from training.blend_search import Offers, best_shares, joined, offers_of
from training.config import RunConfig
from training.errors import DataInvalid
from training.fitted import Weigh, fit_factors, fit_weights, only
from training.metrics import positives
from training.progress import Progress
from training.sources.dataset import Dataset
from training.spectrum import fit_spectrum
from training.split import Split
from training.validation import validation_split

LEAST_USERS: Final = 50
"""Validation users below which no weights are chosen by them."""
_CUT_USERS: Final = 4000
"""Of a validation part, whose histories are cut: anybody's can be, so more of them tell nothing that these do not."""


@dataclass(frozen=True, slots=True)
class Group:
    """What was measured of the users with histories of one length: `label` "3–5 items", `n_users` of the half reported
    on, `own` whether the weights were chosen by such users, `values` the metric of the blend and of each component."""

    label: str
    n_users: int
    own: bool
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Learned:
    """The weights, and what they gave on validation users that they were not chosen by; `groups` empty where there were
    too few users to choose by, the last of them everybody with the history they have."""

    blend: BlendSpec
    metric: str
    n_users: int
    groups: tuple[Group, ...]

    def lines(self) -> list[str]:
        """The same for a person at a terminal."""
        return [self.head(), *(f"  {line}" for line in self.group_lines())]

    def head(self) -> str:
        """What `group_lines` are, or why there are none."""
        if not self.groups:
            return (
                f"blend: {self.n_users} validation users are too few to choose weights by ({LEAST_USERS}): factors only"
            )
        return f"blend, {self.metric} on the validation users that its weights were not chosen by:"

    def group_lines(self) -> list[str]:
        """What the blend and each component gave each group of users, and the weights, in the order of the values."""
        return [self._line(bucket, group) for bucket, group in enumerate(self.groups)]

    def metrics(self) -> dict[str, float]:
        """The same as the manifest has it: "ndcg@10 blend (3–5 items)"."""
        return {
            f"{self.metric} {name} ({group.label})": round(value, 6)
            for group in self.groups
            for name, value in group.values.items()
        }

    def _line(self, bucket: int, group: Group) -> str:
        values = ", ".join(f"{name} {value:.4f}" for name, value in group.values.items())
        line = f"{group.label} ({group.n_users:,} users): {values}"
        if bucket > len(self.blend.bounds):
            return line
        weights = " ".join(f"{self.blend.weights[name][bucket]:.3g}" for name in COMPONENTS)
        return f"{line}; weights {weights}{'' if group.own else ', those of everybody: too few users'}"


@dataclass(frozen=True, slots=True)
class _Stage:
    """One validation part: `users` int32 who are to find what is held out, and what the components learnt from the
    rest; `weights` None without neighbours, `spectrum` None where it takes no part."""

    split: Split
    users: Int32
    item_factors: Float32
    weights: csr_matrix | None
    spectrum: Spectrum | None

    def histories(self) -> csr_matrix:
        """The users' rows of the rest, signed confidence."""
        return csr_matrix(self.split.train[self.users])

    def first(self, n: int) -> _Stage:
        """The same with the first `n` of the users."""
        return replace(self, users=self.users[:n])


@dataclass(frozen=True, slots=True)
class _Shown:
    """The users of all stages, one after the other: `histories` by stage, `n_liked` int64 (m,) positive items,
    `choosing` bool (m,) who chooses weights; the others report."""

    stages: Sequence[_Stage]
    histories: Sequence[csr_matrix]
    n_liked: Int64
    choosing: Bool

    @classmethod
    def of(cls, stages: Sequence[_Stage], half: Bool) -> _Shown:
        """`half` bool (n_users,), who chooses."""
        histories = [stage.histories() for stage in stages]
        n_liked = np.concatenate([np.diff(positives(history).indptr) for history in histories])
        return cls(stages, histories, n_liked, np.concatenate([half[stage.users] for stage in stages]))

    def offers(self, histories: Sequence[csr_matrix], config: RunConfig) -> Offers:
        """What is offered to the users with these histories."""
        return joined([_offers(*pair, config) for pair in zip(self.stages, histories, strict=True)])


def learn_blend(part: Dataset, config: RunConfig, progress: Progress, *, weigh: Weigh = fit_weights) -> Learned:
    """Chooses the weights of each bucket of history lengths.

    `part` is a training part: a validation part is held out of it, the components are fitted on the rest, and up to
    `blend.users` users who have something held out are to find it. With times the same is done again with what was
    left, `blend.cuts` times in all, so that one week's fashion does not decide. For the lower buckets the histories are
    cut to a random choice of as many positive items as the bucket holds, the last bucket has those who have more,
    whole; the cut histories are folded in as serving does. One half of the users chooses the weights by the metric of
    the gate, the other half says what they are worth. A bucket with fewer than 50 to choose by has the weights that all
    users with their whole histories choose; with fewer than 50 in all, factors alone are used. Who is in several
    validation parts counts in each, always in the same half. The same data, settings and seed give the same weights.
    `weigh` fits the item × item weights. Raises DataInvalid as `fit_model`.
    """
    rng = np.random.default_rng(config.blend.seed)
    splits = _splits(part, config)
    users = [_users(split, config.blend.users, rng) for split in splits]
    found = sum(map(len, users))
    if found < LEAST_USERS:
        return Learned(only("factors"), config.gate.metric, found, ())
    stages = []
    for number, (split, shown) in enumerate(zip(splits, users, strict=True), start=1):
        with progress.stage(f"fitting the components of the blend, validation part {number} of {len(splits)}"):
            items = fit_factors(split.train, config, progress=None if progress.quiet else "blend").items
            asked = config.blend.components
            weights = weigh(split.train, config) if "neighbours" in asked else None
            spectrum = fit_spectrum(split.train, config.spectrum) if "spectrum" in asked else None
            stages.append(_Stage(split, shown, items, weights, spectrum))
    with progress.stage("choosing the weights of the blend"):
        learned = _learn(stages, config, rng)
    for line in learned.lines():
        progress.say(f"  {line}")
    return learned


def _splits(part: Dataset, config: RunConfig) -> list[Split]:
    """Validation parts, each held out of what the one before left; one where nothing has a time, or none."""
    splits: list[Split] = []
    for _ in range(config.blend.cuts if part.events.has_time else 1):
        try:
            splits.append(validation_split(part, config, seed=config.blend.seed))
        except DataInvalid:  # nothing is left to validate on
            break
        part = splits[-1].training_events()
    return splits


def _users(split: Split, most: int, rng: np.random.Generator) -> Int32:
    """Users with something held out and something liked before, in no order."""
    n_liked = np.diff(positives(split.train).indptr)
    users = np.flatnonzero((np.diff(split.test.indptr) > 0) & (n_liked > 0)).astype(np.int32)
    return rng.permutation(users)[:most]


def _learn(stages: list[_Stage], config: RunConfig, rng: np.random.Generator) -> Learned:
    settings, metric = config.blend, config.gate.metric
    half = rng.permutation(stages[0].split.train.shape[0]) % 2 == 0
    shown, few = _Shown.of(stages, half), _Shown.of([stage.first(_CUT_USERS) for stage in stages], half)
    everybody = shown.offers(shown.histories, config)
    of_all = _chosen(everybody.of(np.flatnonzero(shown.choosing)), None, config)
    lows = [1, *(bound + 1 for bound in settings.bounds)]
    chosen: list[Float64] = []
    groups: list[Group] = []
    for low, high in zip(lows, [*settings.bounds, None], strict=True):
        whose = shown if high is None else few
        inside = np.flatnonzero(whose.n_liked >= low)
        if high is None:
            offers = everybody.of(inside)
        else:
            cut = [_shortened(history, low, high, rng) for history in few.histories]
            offers = few.offers(cut, config).of(inside)
        choose, report = (np.flatnonzero(part[inside]) for part in (whose.choosing, ~whose.choosing))
        own = len(choose) >= LEAST_USERS
        chosen.append(_chosen(offers.of(choose), of_all, config) if own else of_all)
        label = f"{low} items or more" if high is None else f"{low}–{high} items"
        groups.append(_group(label, offers.of(report), chosen[-1], config, own=own))
    blend = BlendSpec(
        bounds=list(settings.bounds),
        weights={name: [float(weights[code]) for weights in chosen] for code, name in enumerate(COMPONENTS)},
    )
    by_user = np.array(chosen)[[bucket_of(blend, int(n)) for n in shown.n_liked]]
    rest = np.flatnonzero(~shown.choosing)
    groups.append(_group("everybody", everybody.of(rest), by_user[rest], config, own=True))
    return Learned(blend, metric, len(shown.n_liked), tuple(groups))


def _chosen(offers: Offers, of_all: Float64 | None, config: RunConfig) -> Float64:
    """The best weights for a group of users; float64 (4,), with Σ weight · spread of the component's scores = 1.

    What the search finds has to beat the simpler ones (`of_all`, the weights of everybody, and each component alone) by
    more than a standard error of the difference over the users: a search among hundreds always finds something that
    is better on the users it was made on.
    """
    metric, spread = config.gate.metric, offers.scale()
    usable: list[Component] = [
        name for code, name in enumerate(COMPONENTS) if name in config.blend.components and spread[code] > 0
    ]
    if not usable:
        return np.array([float(name == config.blend.components[0]) for name in COMPONENTS])
    per_share = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    simple = [np.where(np.arange(len(COMPONENTS)) == COMPONENTS.index(name), per_share, 0.0) for name in usable]
    simple += [] if of_all is None else [of_all]
    values = [offers.measured(weights, metric) for weights in simple]
    best_simple = int(np.argmax([found.mean(dtype=np.float64) for found in values]))

    def value(shares: Float64) -> float:
        return float(offers.measured(shares * per_share, metric).mean(dtype=np.float64))

    found = np.asarray(best_shares(value, usable, config.blend.trials) * per_share, dtype=np.float64)
    gain = (offers.measured(found, metric) - values[best_simple]).astype(np.float64)
    error = gain.std() / np.sqrt(len(gain))
    return found if gain.mean() > error else simple[best_simple]


def _group(label: str, offers: Offers, weights: Float64, config: RunConfig, *, own: bool) -> Group:
    asked: dict[str, Float64] = {"blend": weights}
    asked |= {name: np.eye(len(COMPONENTS))[COMPONENTS.index(name)] for name in config.blend.components}
    values = {
        name: float(offers.measured(given, config.gate.metric).mean(dtype=np.float64)) if len(offers) else 0.0
        for name, given in asked.items()
    }
    return Group(label, len(offers), own, values)


def _offers(stage: _Stage, histories: csr_matrix, config: RunConfig) -> Offers:
    """What is offered to a stage's users with these histories: CSR (len(users), n_items), signed confidence."""
    split, als = stage.split, config.als
    return offers_of(
        exact_users(histories, stage.item_factors, als.regularization, als.frequency_exponent).users,
        stage.item_factors,
        positives(histories),
        stage.weights,
        popularity_scores(split.popularity),
        stage.spectrum,
        csr_matrix(split.seen[stage.users]),
        csr_matrix(split.test[stage.users]),
        config.blend.components,
    )


def _shortened(histories: csr_matrix, low: int, high: int, rng: np.random.Generator) -> csr_matrix:
    """Of each row `low` to `high` of the positive entries, as many as chance says and there are, and nothing else."""
    owner = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
    liked = np.flatnonzero(histories.data > 0)
    liked = liked[np.lexsort((rng.random(len(liked)), owner[liked]))]
    n_liked = np.bincount(owner[liked], minlength=histories.shape[0])
    place = np.arange(len(liked)) - np.repeat(np.cumsum(n_liked) - n_liked, n_liked)
    wanted = rng.integers(low, np.minimum(high, np.maximum(n_liked, low)), endpoint=True)
    kept = np.sort(liked[place < np.repeat(wanted, n_liked)])
    shorter = csr_matrix((histories.data[kept], (owner[kept], histories.indices[kept])), shape=histories.shape)
    shorter.sort_indices()
    return shorter
