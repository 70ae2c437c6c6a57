"""Activation, rollback, hot swap: a model is verified before it answers, and no answer mixes two."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import Bundle
from tests.api.conftest import consumed
from tests.running import RunningService, ids, wait_until


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


class TestActivate:
    def test_changes_champion_and_answers_at_once(self, service: RunningService) -> None:
        version = service.publish(promote=False, seed=1)
        assert service.post(f"/v1/models/{version}:activate") == {"active": version}
        assert service.recommend("u001")["model_version"] == version
        assert service.registry.champion() == version

    @pytest.mark.parametrize("damage", [flip_a_byte, truncate, Path.unlink], ids=["flipped", "truncated", "missing"])
    @pytest.mark.parametrize("name", ["item_factors.npy", "index.faiss", "manifest.json"])
    def test_a_damaged_bundle_is_refused_by_name_and_the_one_in_use_stays(
        self, service: RunningService, damage: Callable[[Path], None], name: str
    ) -> None:
        before = service.registry.champion()
        version = service.publish(promote=False, seed=1)
        damage(service.models_dir / version / name)
        refused = service.client.post(f"/v1/models/{version}:activate")
        assert refused.status_code == 409
        assert version in refused.json()["detail"]
        if name != "manifest.json":
            assert name in refused.json()["detail"]
        assert service.registry.champion() == before
        assert service.recommend("u001")["model_version"] == before
        assert service.metric('recsvc_model_activations_total{outcome="refused"}') == 1

    def test_a_bundle_damaged_in_place_after_it_was_verified_is_refused(self, service: RunningService) -> None:
        """The receipt still holds: size, time and inode are as they were. Only the checksums tell."""
        first = service.registry.champion()
        second = service.publish(promote=False, seed=1)
        service.post(f"/v1/models/{second}:activate")
        assert first is not None
        path = service.models_dir / first / "user_factors.npy"
        before = path.stat()
        flip_a_byte(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_ino == before.st_ino
        assert service.client.post(f"/v1/models/{first}:activate").status_code == 409
        assert service.registry.champion() == second

    def test_a_version_that_failed_its_gate_needs_force(self, service: RunningService) -> None:
        version = service.publish(promote=False, seed=1, passed=False)
        refused = service.client.post(f"/v1/models/{version}:activate")
        assert refused.status_code == 409
        assert refused.json()["type"] == "urn:recsvc:problem:gate-refused"
        assert service.registry.champion() != version
        assert service.post(f"/v1/models/{version}:activate", force=True) == {"active": version}

    @pytest.mark.parametrize("version", ["20200101T000000Z-abcdef", "..", "no"])
    def test_an_unknown_version_is_a_404_problem(self, service: RunningService, version: str) -> None:
        answer = service.client.post(f"/v1/models/{version}:activate")
        assert answer.status_code == 404


class TestRollback:
    def test_returns_to_the_champion_before(self, service: RunningService) -> None:
        first = service.registry.champion()
        second = service.publish(promote=False, seed=1)
        service.post(f"/v1/models/{second}:activate")
        assert service.post("/v1/models:rollback") == {"active": first}
        assert service.recommend("u001")["model_version"] == first

    def test_to_a_damaged_bundle_is_refused_and_changes_nothing(self, service: RunningService) -> None:
        first = service.registry.champion()
        second = service.publish(promote=False, seed=1)
        service.post(f"/v1/models/{second}:activate")
        assert first is not None
        flip_a_byte(service.models_dir / first / "gram.npy")
        assert service.client.post("/v1/models:rollback").status_code == 409
        assert service.registry.champion() == second
        assert service.recommend("u001")["model_version"] == second

    def test_without_an_earlier_champion_is_a_409_problem(self, service: RunningService) -> None:
        answer = service.client.post("/v1/models:rollback")
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:recsvc:problem:nothing-to-roll-back-to"


class TestFollowing:
    def test_a_promotion_by_another_process_is_followed(self, service: RunningService) -> None:
        version = service.publish(seed=1)
        wait_until(lambda: service.recommend("u001")["model_version"] == version)

    def test_a_champion_that_cannot_be_opened_is_shown_and_the_one_in_use_stays(self, service: RunningService) -> None:
        before = service.recommend("u001")["model_version"]
        broken = service.publish(promote=False, seed=1)
        (service.models_dir / broken / "gram.npy").unlink()
        service.registry.promote(broken)
        wait_until(lambda: service.get("/v1/models")["problem"] is not None)
        overview = service.get("/v1/models")
        assert overview["problem"]["version"] == broken
        assert "gram.npy" in overview["problem"]["message"]
        assert (overview["champion"], overview["active"]) == (broken, before)
        ready = service.get("/readyz")
        assert ready["checks"]["model"]["status"] == "degraded"
        assert service.recommend("u001")["model_version"] == before
        service.registry.promote(before)
        wait_until(lambda: service.get("/v1/models")["problem"] is None)

    def test_answers_under_load_never_fail_and_never_mix_models(self, service: RunningService, bundle: Bundle) -> None:
        """The two models' catalogues name different items, so an item of the wrong one shows."""
        versions = [bundle.version, service.publish(promote=False, seed=9, n_users=60, n_items=500)]
        known = {version: open_bundle(service.models_dir / version, None) for version in versions}
        lists = {
            version: {user: ids(service.recommend(user, model=version, limit=30)) for user in known[version].users}
            for version in versions
        }
        stop = threading.Event()
        mixed: list[str] = []
        seen: set[str] = set()

        def ask(worker: int) -> int:
            count = 0
            while not stop.is_set():
                user = f"u{(worker * 7 + count) % 40:03}"
                answer = service.recommend(user, limit=30)
                version = answer["model_version"]
                seen.add(version)
                if ids(answer) != lists[version][user] or set(ids(answer)) & consumed(known[version], user):
                    mixed.append(user)
                count += 1
            return count

        with ThreadPoolExecutor(6) as clients:
            workers = [clients.submit(ask, worker) for worker in range(6)]
            try:
                for turn in range(10):
                    service.post(f"/v1/models/{versions[(turn + 1) % 2]}:activate")
                service.post("/v1/models:rollback")
            finally:
                stop.set()
            assert sum(worker.result() for worker in workers) > 0
        assert mixed == []
        assert seen == set(versions)


class TestOverview:
    def test_shows_registry_champion_gate_metrics_and_example_users(
        self, service: RunningService, bundle: Bundle
    ) -> None:
        worse = service.publish(promote=False, passed=False)
        broken = service.publish(promote=False)
        (service.models_dir / broken / "manifest.json").write_text("{")
        overview = service.get("/v1/models")
        entries = {entry["version"]: entry for entry in overview["models"]}
        assert set(entries) == {bundle.version, worse, broken}
        assert entries[bundle.version]["champion"]
        assert entries[bundle.version]["active"]
        assert entries[bundle.version]["metrics"]["als"]["ndcg@10"] == 0.1
        assert entries[worse]["gate"]["passed"] is False
        assert "manifest.json" in entries[broken]["problem"]
        assert overview["example_users"]
        assert all(bundle.users.row_of(user) is not None for user in overview["example_users"])


class TestNoModel:
    def test_answers_503_until_one_is_promoted(self, tmp_path: Path, redis_url: str) -> None:
        with RunningService(tmp_path, redis_url) as empty:
            answer = empty.client.get("/v1/users/u001/recommendations")
            assert answer.status_code == 503
            assert "Retry-After" in answer.headers
            assert empty.client.get("/readyz").status_code == 503
            assert empty.client.get("/healthz").status_code == 200
            assert empty.get("/v1/models")["active"] is None
            empty.publish()
            wait_until(lambda: empty.client.get("/readyz").status_code == 200)
            assert len(empty.recommend("u001")["items"]) == 20


def test_a_page_of_another_origin_cannot_change_the_model_of_a_service_without_keys(service: RunningService) -> None:
    answer = service.client.post("/v1/models:rollback", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert "RECSVC_CORS_ORIGINS" in answer.json()["detail"]
    here = str(service.client.base_url).rstrip("/")
    own = service.client.post("/v1/models:rollback", headers={"Origin": here})
    assert own.status_code != 403


def test_a_service_that_ended_holds_no_file_of_its_models(tmp_path: Path, redis_url: str) -> None:
    running = RunningService(tmp_path, redis_url)
    running.publish()

    def held() -> list[str]:
        return [file.path for file in psutil.Process().open_files() if file.path.startswith(str(running.models_dir))]

    with running:
        running.recommend("u001")
        assert held()
    gc.collect()
    assert not held()
