from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsvc.eventlog.event import Arm
from recsvc.telemetry import JsonFormatter, PlainFormatter, RouteTally, Telemetry, prepare_metrics_directory, redact

WORKER = """
from recsvc.telemetry import Telemetry
telemetry = Telemetry()
telemetry.cache.labels("hit").inc(3)
telemetry.compute_seconds.observe(0.004)
print(telemetry.render().decode())
"""


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("recsvc.api", logging.WARNING, __file__, 1, message, arguments, None)
    made.__dict__.update(extra)
    return made


class TestLines:
    def test_plain_is_a_line_in_utc_with_the_request(self) -> None:
        made = record("refused %s", "v1", request_id="r-1")
        made.created = 1_790_000_000.25
        assert PlainFormatter().format(made) == "2026-09-21T14:13:20Z warning recsvc.api: refused v1 (request r-1)"

    def test_json_is_one_object_a_line_whatever_the_message(self) -> None:
        made = record('two\nlines and a "quote" é', request_id="r-1")
        made.created, made.msecs = 1_790_000_000.25, 250.0
        line = JsonFormatter().format(made)
        assert "\n" not in line
        assert json.loads(line) == {
            "time": "2026-09-21T14:13:20.250Z",
            "level": "warning",
            "logger": "recsvc.api",
            "message": 'two\nlines and a "quote" é',
            "request_id": "r-1",
        }

    def test_a_traceback_is_kept(self) -> None:
        made = record("failed")
        try:
            _ = 1 // 0
        except ZeroDivisionError:
            made.exc_info = sys.exc_info()
        assert "ZeroDivisionError" in json.loads(JsonFormatter().format(made))["traceback"]

    @pytest.mark.parametrize("formatter", [PlainFormatter(), JsonFormatter()])
    def test_secrets_are_redacted_wherever_they_come_from(self, formatter: logging.Formatter) -> None:
        line = formatter.format(record("at %s with Bearer %s", "redis://u:hunter2@cache:6379/0", "abcdef0123456789"))
        assert "hunter2" not in line
        assert "abcdef0123456789" not in line
        assert "cache:6379/0" in line

    def test_an_address_without_a_password_is_left_alone(self) -> None:
        assert redact("redis://cache:6379/0 http://a/b@c") == "redis://cache:6379/0 http://a/b@c"


def numbers(telemetry: Telemetry) -> dict[str, float]:
    """The metrics by name and labels, but for when they were made."""
    lines = [line for line in telemetry.render().decode().splitlines() if not line.startswith("#")]
    return {
        name: round(float(value), 9)
        for name, _, value in (line.rpartition(" ") for line in lines)
        if "_created" not in name
    }


class TestMetrics:
    def test_two_instances_do_not_share_their_numbers(self) -> None:
        one, other = Telemetry(), Telemetry()
        one.degraded.labels("cache").inc()
        assert b'recsvc_degraded_total{part="cache"} 1.0' in one.render()
        assert b'part="cache"' not in other.render()

    def test_a_tally_adds_what_each_answer_alone_would_have_added(self) -> None:
        seconds = [0.0001, 0.0005, 0.0006, 0.02, 7.0]
        arms = (Arm("x", 1, "a"), Arm("y", 2, "b", fallback=True))
        tallied, single = Telemetry(), Telemetry()

        async def count() -> None:
            tally = RouteTally(tallied, "GET", "/r")
            for value in seconds:
                tally.count(value, ("cache",), arms)
            tally.count(0.1, (), ())
            tally.flush()

        asyncio.run(count())
        for value in (*seconds, 0.1):
            single.requests.labels("GET", "/r", "200").inc()
            single.cache.labels("hit").inc()
            single.request_seconds.labels("GET", "/r").observe(value)
        for _ in seconds:
            single.degraded.labels("cache").inc()
            single.count_arms(arms)
        assert numbers(tallied) == numbers(single)
        assert numbers(tallied)['recsvc_request_seconds_count{method="GET",route="/r"}'] == 6

    def test_worker_processes_add_up(self, tmp_path: Path) -> None:
        directory = prepare_metrics_directory(tmp_path)
        environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
        for _ in range(2):
            said = subprocess.run(
                [sys.executable, "-c", WORKER], env=environ, capture_output=True, text=True, check=True
            )
        assert 'recsvc_cache_total{outcome="hit"} 6.0' in said.stdout
        assert "recsvc_compute_seconds_count 2.0" in said.stdout

    def test_numbers_of_an_earlier_run_are_dropped(self, tmp_path: Path) -> None:
        environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(prepare_metrics_directory(tmp_path))}
        for _ in range(2):
            prepare_metrics_directory(tmp_path)
            said = subprocess.run(
                [sys.executable, "-c", WORKER], env=environ, capture_output=True, text=True, check=True
            )
        assert 'recsvc_cache_total{outcome="hit"} 3.0' in said.stdout
