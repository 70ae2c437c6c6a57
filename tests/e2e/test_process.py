from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from recsvc.bundle.registry import Registry
from tests.builders import publish_bundle
from tests.e2e.service_process import ServiceProcess, eventually, refused, started

KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    Registry(directory).promote(publish_bundle(directory))
    return directory


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def service(
    request: pytest.FixtureRequest, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    with started(models_dir, tmp_path_factory.mktemp("service"), workers=request.param) as running:
        yield running


def requests_of(printed: str, key: str = "") -> list[httpx.Request]:
    """The printed `curl` lines as requests."""
    made = []
    for line in re.findall(r"^  curl .*$", printed, flags=re.MULTILINE):
        words = shlex.split(line.replace("$KEY", key))[1:]
        headers, url, body = {}, "", None
        while words:
            word = words.pop(0)
            if word == "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            elif word == "-d":
                body = words.pop(0)
            else:
                url = word
        made.append(httpx.Request("GET" if body is None else "POST", url, headers=headers, content=body))
    return made


class TestRunning:
    def test_the_printed_requests_are_answered_with_items_that_have_titles(self, service: ServiceProcess) -> None:
        requests = requests_of(service.printed)
        assert len(requests) == 3
        with service.client() as client:
            for request in requests:
                response = client.send(request)
                assert response.status_code == 200, (request.url, response.text)
                items = response.json()["items"]
                assert len(items) == 5
                assert all(item["title"] for item in items)

    def test_it_is_ready_and_says_nothing_of_its_software(self, service: ServiceProcess) -> None:
        with service.client() as client:
            response = client.get("/readyz")
            assert response.status_code == 200
            assert response.json()["checks"]["redis"]["weaker_promises"] == []
            assert "server" not in response.headers

    def test_metrics_count_the_requests_of_all_workers(self, service: ServiceProcess) -> None:
        def counted() -> float:
            with service.client() as client:
                text = client.get("/metrics").text
            found = re.search(r'recsvc_requests_total\{method="GET",route="/healthz",status="200"\} (\S+)', text)
            assert found is not None
            return float(found[1])

        before = counted()
        for _ in range(40):
            with service.client() as client:  # a connection each, so that every worker gets some
                assert client.get("/healthz").status_code == 200
        assert counted() == before + 40

    def test_every_answer_is_a_200_while_the_private_redis_is_killed_and_it_comes_back(
        self, service: ServiceProcess
    ) -> None:
        with service.client() as client:

            def degraded(user: int) -> list[str]:
                response = client.get(f"/v1/users/u{user:03}/recommendations")
                assert response.status_code == 200
                found: list[str] = response.json()["degraded"]
                return found

            os.kill(service.pid_of("redis-server"), signal.SIGKILL)
            seen = [degraded(number) for number in range(30)]
            assert any("cache" in parts for parts in seen)
            assert eventually(lambda: "cache" not in degraded(39))


class TestEnd:
    @pytest.mark.parametrize("workers", [1, 2])
    @pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "SIGHUP", "Ctrl-C"])
    def test_it_ends_with_status_0_and_leaves_no_process(
        self, models_dir: Path, tmp_path: Path, workers: int, how: str
    ) -> None:
        with started(models_dir, tmp_path, workers=workers) as service:
            assert len(service.processes) >= (2 if workers == 1 else 4)
            if how == "Ctrl-C":
                service.interrupt_all()
            else:
                service.signal(signal.Signals[how])
            assert service.wait() == 0
            assert service.left() == []
            assert "Traceback" not in service.log

    @pytest.mark.parametrize("workers", [1, 2])
    def test_killed_outright_it_leaves_no_process_and_starts_again(
        self, models_dir: Path, tmp_path: Path, workers: int
    ) -> None:
        with started(models_dir, tmp_path, workers=workers) as service:
            service.signal(signal.SIGKILL)
            service.wait()
            assert service.left() == []
        with started(models_dir, tmp_path, workers=workers) as again, again.client() as client:
            assert client.get("/readyz").status_code == 200

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_request_that_has_begun_is_answered(self, models_dir: Path, tmp_path: Path, workers: int) -> None:
        body = b'{"events": [], "limit": 3}'
        with started(models_dir, tmp_path, workers=workers) as service:
            address = urlsplit(service.url)
            with socket.create_connection((address.hostname, address.port), timeout=30) as raw:
                head = (
                    "POST /v1/sessions/recommendations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                raw.sendall(head.encode() + body[:5])
                # Another request answered on another connection shows that this one's head was read.
                with service.client() as client:
                    for _ in range(20):
                        client.get("/healthz")
                service.signal(signal.SIGTERM)
                assert eventually(lambda: refuses_connections(service.url))
                raw.sendall(body[5:])
                answer = b"".join(iter(lambda: raw.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert service.wait() == 0


class TestReload:
    def test_workers_are_replaced_without_a_failed_request(self, models_dir: Path, tmp_path: Path) -> None:
        with started(models_dir, tmp_path, workers=2) as service:
            answered: list[int] = []
            stop = threading.Event()

            def on_new_connections() -> None:
                while not stop.is_set():
                    with service.client() as client:
                        answered.append(client.get("/v1/users/u001/recommendations").status_code)

            def on_kept_ones() -> None:
                with service.client() as client:
                    while not stop.is_set():
                        answered.append(client.get("/v1/users/u001/recommendations").status_code)

            asking = [threading.Thread(target=ask) for ask in (on_new_connections, on_kept_ones)]
            for thread in asking:
                thread.start()
            before = _workers(service)
            service.signal(signal.SIGUSR2)
            replaced = eventually(lambda: len(_workers(service)) == 2 and not _workers(service) & before, seconds=150)
            stop.set()
            for thread in asking:
                thread.join()
            assert replaced
            assert answered
            assert set(answered) == {200}
            with service.client() as client:
                progress = re.search(r"^recsvc_requests_in_progress (\S+)$", client.get("/metrics").text, re.MULTILINE)
            assert progress is not None
            assert float(progress[1]) <= 1

    def test_it_ends_at_once_in_the_middle_of_that(self, models_dir: Path, tmp_path: Path) -> None:
        with started(models_dir, tmp_path, workers=2) as service:
            service.signal(signal.SIGUSR2)
            service.signal(signal.SIGTERM)
            assert service.wait() == 0
            assert service.left() == []


def _workers(service: ServiceProcess) -> set[int]:
    """The processes that answer, by what multiprocessing starts them with."""
    found = set()
    for child in service.processes[0].children():
        # One that goes meanwhile is none.
        with suppress(psutil.Error):
            if "multiprocessing.spawn" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def refuses_connections(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=5).close()
    except OSError:
        return True
    return False


class TestRefusals:
    def test_a_taken_port(self, models_dir: Path, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            status, said = refused(models_dir, tmp_path, port=port)
        assert status == 2
        assert said.strip().startswith(f"port {port} on 127.0.0.1 is taken")
        assert "RECSVC_PORT" in said

    def test_no_champion(self, tmp_path: Path) -> None:
        status, said = refused(tmp_path / "models", tmp_path / "state")
        assert status == 2
        assert "make train promote" in said
        assert "Traceback" not in said

    def test_a_champion_that_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "CHAMPION").write_text("20260101T000000Z-000000\n")
        status, said = refused(tmp_path, tmp_path / "state")
        assert status == 2
        assert "20260101T000000Z-000000" in said

    def test_wrong_settings_have_a_line_each(self, models_dir: Path, tmp_path: Path) -> None:
        status, said = refused(models_dir, tmp_path, workers="many", cache_ttl_seconds=0)
        assert status == 2
        assert sorted(line.split(":")[0] for line in said.strip().splitlines()) == [
            "RECSVC_CACHE_TTL_SECONDS",
            "RECSVC_WORKERS",
        ]

    def test_a_setting_that_does_not_exist(self, models_dir: Path, tmp_path: Path) -> None:
        status, said = refused(models_dir, tmp_path, pory=1)
        assert (status, said.strip()) == (2, "RECSVC_PORY: there is no such setting; did you mean RECSVC_PORT?")

    def test_a_file_of_experiments_that_is_wrong(self, models_dir: Path, tmp_path: Path) -> None:
        path = tmp_path / "experiments.toml"
        path.write_text('[[experiment]]\nkey = "ranker-7"\nvariants = [{key = "a", weight = -1}, {key = "b"}]\n')
        status, said = refused(models_dir, tmp_path / "state", experiments_file=path)
        assert status == 2
        assert said.startswith(f"RECSVC_EXPERIMENTS_FILE: {path}: [[experiment]] 1 (ranker-7): variants[0].weight: ")
        assert "Traceback" not in said

    def test_open_to_other_machines_without_keys(self, models_dir: Path, tmp_path: Path) -> None:
        status, said = refused(models_dir, tmp_path, host="0.0.0.0")
        assert status == 2
        assert "RECSVC_API_KEYS" in said

    def test_a_state_directory_that_another_service_has(self, models_dir: Path, tmp_path: Path) -> None:
        with started(models_dir, tmp_path) as service:
            status, said = refused(models_dir, tmp_path / "state")
            assert status == 2
            assert "is in use by another recsvc" in said
            with service.client() as client:
                assert client.get("/readyz").status_code == 200

    def test_a_state_directory_that_cannot_be_made(self, models_dir: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        status, said = refused(models_dir, tmp_path / "file" / "state")
        assert status == 2
        assert said.startswith("RECSVC_STATE_DIR: ")


class TestKeys:
    def test_the_printed_requests_ask_for_a_key_and_work_with_one(self, models_dir: Path, tmp_path: Path) -> None:
        with started(models_dir, tmp_path, api_keys=f"{KEY}:read", log_level="debug") as service:
            assert KEY not in service.printed
            with service.client() as client:
                for request in requests_of(service.printed, KEY):
                    assert client.send(request).status_code == 200
                for request in requests_of(service.printed, "another-0123456789"):
                    assert client.send(request).status_code == 401
                assert client.get("/healthz").status_code == 200
            assert KEY not in service.log
