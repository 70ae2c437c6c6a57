"""A blended champion answers a thousand users over HTTP with the list that it has offline, item by item."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.registry import Registry
from recsvc.bundle.types import Bool, Bundle, UserRow
from recsvc.scoring.blend import BlendScorer
from recsvc.serving.content import ContentRows
from tests.e2e.service_process import started
from tests.shows.stage import recommended, train

USERS = 1_000
LIMIT = 20
PRESETS = Path("training/presets")


def show(directory: Path, dataset: str | None = None) -> int:
    """Exit status 0 when every list is equal.

    The champion of RECSVC_MODELS_DIR is shown if it is a blend, of the data set if one is named; else one is trained.
    """
    models_dir = _blended_models(directory, dataset)
    bundle = open_bundle(Registry(models_dir).path(_champion(models_dir)), None)
    offline = _Offline(bundle)
    users = offline.some_users(USERS)
    with started(models_dir, directory) as service, service.client() as client:
        found = [_compare(client, offline, user) for user in users]
    equal = sum(each.equal for each in found)
    print(f"{bundle.version} ({bundle.manifest.kind} on {bundle.manifest.data.name}), {len(users)} users, top {LIMIT}:")
    print(f"  over HTTP equal to offline, item by item  {equal}")
    print(f"  different                                 {len(found) - equal}")
    print(f"  items compared                            {sum(each.compared for each in found)}")
    print(f"  items by content, which come online only  {sum(each.by_content for each in found)}")
    for each in [each for each in found if not each.equal][:3]:
        print(f"  {each.user}: online {each.online}, offline {each.offline}")
    return 0 if users and equal == len(users) and all(each.compared for each in found) else 1


@dataclass(frozen=True, slots=True)
class _Compared:
    """One user: the lists as far as the model's preferences go."""

    user: str
    online: list[tuple[str, float]]
    offline: list[tuple[str, float]]
    by_content: int

    @property
    def compared(self) -> int:
        return len(self.offline)

    @property
    def equal(self) -> bool:
        return self.online == self.offline


class _Offline:
    """The lists of a bundle, straight from its arrays."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        assert manifest.blend is not None
        self._bundle = bundle
        self._scorer = BlendScorer(
            bundle.index, bundle.item_factors, bundle.neighbours, bundle.popularity, manifest.blend, bundle.spectrum
        )
        self._trained: Bool = np.ones(len(bundle.items), dtype=np.bool_)
        # Nobody had met these: they have no factors, and online a vector made of what is known of them.
        self._trained[ContentRows(bundle).current.rows] = False

    def some_users(self, count: int) -> list[UserRow]:
        """Users who liked something, evenly out of all of them."""
        rows = [
            row for row in range(len(self._bundle.users)) if (self._bundle.interactions.of(UserRow(row))[1] > 0).any()
        ]
        return [UserRow(rows[int(place)]) for place in np.linspace(0, len(rows) - 1, min(count, len(rows)))]

    def name(self, user: UserRow) -> str:
        return self._bundle.users[user]

    def top(self, user: UserRow) -> list[tuple[str, float]]:
        """The best unseen items with a score above 0."""
        items, confidence = self._bundle.interactions.of(user)
        allowed = self._trained.copy()
        allowed[items] = False
        vector = self._bundle.user_factors[user]
        rows, scores = self._scorer.top(vector, items[confidence > 0], LIMIT, allowed)
        return [
            (self._bundle.items[int(row)], round(float(score), 6))
            for row, score in zip(rows, scores, strict=True)
            if score > 0
        ]


def _compare(client: httpx.Client, offline: _Offline, user: UserRow) -> _Compared:
    answer = recommended(client, quote(offline.name(user), safe=""), limit=LIMIT)
    online = [(item["id"], item["score"]) for item in answer["items"] if item["source"] != "content"]
    expected = offline.top(user)[: len(online)]
    by_content = len(answer["items"]) - len(online)
    # Behind the model's preferences the service goes on with trending and popular items.
    return _Compared(offline.name(user), online[: len(expected)], expected, by_content)


def _champion(models_dir: Path) -> str:
    champion = Registry(models_dir).champion()
    if champion is None or Registry(models_dir).manifest(champion).blend is None:
        raise RuntimeError(f"the champion of {models_dir} is no blend: {champion}")
    return champion


def _blended_models(directory: Path, dataset: str | None) -> Path:
    """The registry of a blended champion: the one that is there, or a new one."""
    there = Registry(Path(os.environ.get("RECSVC_MODELS_DIR") or "models"))
    champion = there.champion()
    if champion is not None:
        manifest = there.manifest(champion)
        if manifest.blend is not None and dataset in (None, manifest.data.name):
            return there.models_dir
    name = dataset or "sample"
    models_dir, config = directory / "models", directory / "blend.toml"
    config.write_text(_blended_settings((PRESETS / f"{name}.toml").read_text()))
    print(f"training a blend on {name} …", flush=True)
    train(models_dir, directory / "training", "retrain", "--dataset", name, "--config", str(config))
    return models_dir


def _blended_settings(preset: str) -> str:
    """A preset as it is when it chooses a kind of model, else with the blend."""
    return preset if "model" in tomllib.loads(preset) else f'{preset}\n[model]\nkind = "blend"\n'
