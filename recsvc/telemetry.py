"""Logs and metrics of the service."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import os
import re
import time
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from recsvc.eventlog.event import Arm

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client when it is imported: set for the worker processes before they start."""

_FLUSH_SECONDS: Final = 0.1
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

# A password inside an address, and a bearer token, wherever a library puts them into a message.
_SECRETS: Final = re.compile(r"(?P<scheme>\w+://)[^/\s@]*:[^/\s@]*@|(?P<bearer>[Bb]earer\s+)[A-Za-z0-9\-._~+/]+=*")


class Telemetry:
    """The metrics, with a registry of their own; one instance per app, passed to whoever counts.

    With several worker processes the numbers of all add up, through files that prometheus_client maps
    (`prepare_metrics_directory`).
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "recsvc_requests", "Answered requests.", ["method", "route", "status"], registry=self.registry
        )
        self.request_seconds = _TalliedHistogram(
            "recsvc_request_seconds",
            "Time from the request's head to the answer's end.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.requests_in_progress = Gauge(
            "recsvc_requests_in_progress",
            "Requests that a route is answering; answers that are kept are not among them.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.shed = Counter(
            "recsvc_shed_requests",
            "Requests answered 503 because too many were under way, or too many lists were being computed.",
            registry=self.registry,
        )
        self.cache = Counter(
            "recsvc_cache",
            "Look-ups of cached recommendations, by outcome: hit, miss, unavailable.",
            ["outcome"],
            registry=self.registry,
        )
        self.degraded = Counter(
            "recsvc_degraded",
            "Answers that fell back, by the part that did.",
            ["part"],
            registry=self.registry,
        )
        self.compute_seconds = Histogram(
            "recsvc_compute_seconds",
            "Time to compute a recommendation list that the cache did not have.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.events = Counter(
            "recsvc_events",
            "Events received, by outcome: accepted, duplicate, rejected (wrong), refused (answered 503).",
            ["outcome"],
            registry=self.registry,
        )
        self.attribution = Counter(
            "recsvc_attribution",
            "Accepted events that brought a recommendation_id, by outcome: valid, invalid.",
            ["outcome"],
            registry=self.registry,
        )
        self.assignments = Counter(
            "recsvc_assignments",
            "Answers to users in an experiment, by their variant.",
            ["experiment", "variant"],
            registry=self.registry,
        )
        self.experiment_fallbacks = Counter(
            "recsvc_experiment_fallbacks",
            "Those among them that the champion answered, because the variant's model cannot be had.",
            ["experiment", "variant"],
            registry=self.registry,
        )
        self.activations = Counter(
            "recsvc_model_activations",
            "Changes of the served bundle, by outcome: done, refused.",
            ["outcome"],
            registry=self.registry,
        )

        self._tallies: list[RouteTally] = []

    def count_arms(self, arms: Sequence[Arm], answers: int = 1) -> None:
        """Counts answers in these experiments."""
        for arm in arms:
            self.assignments.labels(arm.experiment, arm.variant).inc(answers)
            if arm.fallback:
                self.experiment_fallbacks.labels(arm.experiment, arm.variant).inc(answers)

    def add_tally(self, tally: RouteTally) -> None:
        """Has it asked for what it counted before the metrics are shown."""
        self._tallies.append(tally)

    def render(self) -> bytes:
        """The metrics in Prometheus' text format; send as `METRICS_CONTENT_TYPE`."""
        for tally in self._tallies:
            tally.flush()
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return generate_latest(everybody)


class _TalliedHistogram(Histogram):
    """A histogram to which observations can be added that were counted elsewhere."""

    @property
    def bounds(self) -> list[float]:
        """The upper bounds of the buckets, ascending; the last is infinite."""
        return self._upper_bounds

    def add(self, counts: Sequence[int], total: float) -> None:
        """Adds so many observations to each bucket; `total` is their sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class RouteTally:
    """Counts the hits of one route in plain numbers, and adds them to the metrics ten times a second: a counter that
    several processes share costs as much as the rest of such an answer. Nothing is left to be done for each of them
    then, or everybody would wait for it. For use from one event loop."""

    def __init__(self, telemetry: Telemetry, method: str, route: str) -> None:
        self._requests = telemetry.requests.labels(method, route, "200")
        self._request_seconds = telemetry.request_seconds.labels(method, route)
        self._bounds = self._request_seconds.bounds
        self._hits = telemetry.cache.labels("hit")
        self._telemetry = telemetry
        self._start_over()
        telemetry.add_tally(self)

    def count(self, seconds: float, degraded: tuple[str, ...], arms: tuple[Arm, ...]) -> None:
        """Counts one answer from the cache, after so many seconds; `degraded` the parts that fell back, `arms` the
        experiments that it is part of."""
        if not self._answers:
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        self._answers += 1
        self._seconds += seconds
        self._buckets[bisect_left(self._bounds, seconds)] += 1
        if degraded:
            self._degraded[degraded] += 1
        if arms:
            self._arms[arms] += 1

    def flush(self) -> None:
        """Adds what was counted since the last time."""
        if not self._answers:
            return
        self._requests.inc(self._answers)
        self._hits.inc(self._answers)
        self._request_seconds.add(self._buckets, self._seconds)
        for parts, answers in self._degraded.items():
            for part in parts:
                self._telemetry.degraded.labels(part).inc(answers)
        for arms, answers in self._arms.items():
            self._telemetry.count_arms(arms, answers)
        self._start_over()

    def _start_over(self) -> None:
        self._answers, self._seconds = 0, 0.0
        self._buckets = [0] * len(self._bounds)
        self._degraded: Counts[tuple[str, ...]] = Counts()
        self._arms: Counts[tuple[Arm, ...]] = Counts()


def prepare_metrics_directory(state_dir: Path) -> Path:
    """Makes the directory of the workers' metric files and removes those of an earlier run."""
    directory = (state_dir / "metrics").resolve()
    directory.mkdir(parents=True, exist_ok=True)
    for stale in directory.glob("*.db"):
        stale.unlink()
    return directory


def redact(text: str) -> str:
    """The text without the passwords of addresses and without bearer tokens."""
    return _SECRETS.sub(lambda m: f"{m['scheme']}***@" if m["scheme"] else f"{m['bearer']}***", text)


class PlainFormatter(logging.Formatter):
    """`2026-11-22T05:00:00Z info recsvc.api: message`, secrets redacted."""

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """Times are UTC."""
        return time.gmtime(seconds)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(lowerlevel)s %(name)s: %(message)s%(request)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback where there is one."""
        request_id = getattr(record, "request_id", None)
        record.lowerlevel = record.levelname.lower()
        record.request = f" (request {request_id})" if request_id else ""
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; request_id and traceback where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{second}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if request_id := getattr(record, "request_id", None):
            line["request_id"] = request_id
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str, log_format: str) -> None:
    """Sends every log record of the process to standard error; `level` and `log_format` as in `Settings`."""
    formatter = JsonFormatter if log_format == "json" else PlainFormatter
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level.upper()},
            # Its start-up chatter repeats what we print; its warnings matter.
            "loggers": {
                "uvicorn": {"level": "WARNING" if level != "debug" else "DEBUG"},
                # Named, or a child of the former is switched on again, and each answer pays for a line nobody sees.
                "uvicorn.access": {"propagate": False},
            },
        }
    )
