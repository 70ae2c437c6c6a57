"""Erases a user of the model, with events in Redis and in the log, and looks for what is left of them everywhere."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow.parquet as pq
import redis

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.registry import Registry
from recsvc.eventlog.compact import compact_everything
from recsvc.eventlog.reader import snapshot
from recsvc.eventlog.tombstones import read_tombstones
from tests.e2e.service_process import eventually
from tests.shows.stage import Stage, event, recommended, send, stage


def show(directory: Path) -> int:
    """Exit status 0 when nothing of the user is left, nor comes back."""
    with stage(directory) as ready:
        old = Registry(ready.models_dir).champion()
        assert old is not None
        user = open_bundle(ready.models_dir / old, None).users[7]
        with ready.services(1, log_flush_seconds=0.5) as (client,):
            checks = _erase_and_look(ready, client, user, old)
    width = max(len(name) for name in checks)
    for name, kept in checks.items():
        print(f"  {name:<{width}}  {'yes' if kept else 'NO'}")
    return 0 if all(checks.values()) else 1


def _erase_and_look(ready: Stage, client: httpx.Client, user: str, old: str) -> dict[str, bool]:
    checks: dict[str, bool] = {}
    popular = [item["id"] for item in client.get("/v1/lists/popular", params={"limit": 10}).json()["items"]]
    send(client, *(event(user, item, "view") for item in popular[:5]))
    stranger = {item["id"] for item in recommended(client, "somebody-never-seen", limit=50)["items"]}
    personal = recommended(client, user, limit=50)
    checks["before: the list is personal"] = personal["items"][0]["source"] == "als"
    log = ready.state_dir / "events"
    checks["before: the log has rows of the user"] = eventually(lambda: _log_rows(log, user) >= 5)
    checks["before: Redis has keys of the user"] = bool(_keys(ready.redis.url, user))

    print(f"erasing {user}, who is in model {old}, in Redis and in the log")
    answer = client.delete(f"/v1/users/{user}")
    print(f"DELETE /v1/users/{user} → {answer.status_code}\n{json.dumps(answer.json(), indent=2)}")
    checks["the receipt came"] = answer.status_code == 200

    checks["no key in Redis names the user"] = not _keys(ready.redis.url, user)
    checks["no value in Redis names the user"] = eventually(lambda: not _values(ready.redis.url, user))
    compact_everything(log, read_tombstones(ready.state_dir))
    checks["no row of the log, after compaction"] = _log_rows(log, user) == 0
    checks["the old bundle answers as to a stranger"] = _as_a_stranger(client, user, stranger)
    checks["nobody is similar to the user in the old bundle"] = (
        client.get(f"/v1/users/{user}/similar").json()["users"] == []
    )
    print("retraining …", flush=True)
    ready.train("retrain")
    new = Registry(ready.models_dir).versions()[0]
    checks["a new bundle was trained"] = new != old
    checks["the new bundle does not hold the user"] = (
        open_bundle(ready.models_dir / new, None).users.row_of(user) is None
    )
    for version in (old, new):
        checks[f"{version} answers as to a stranger"] = _as_a_stranger(client, user, stranger, model=version)

    send(client, event(user, popular[0]))
    back = recommended(client, user, limit=50, model=old)
    checks["the same id came back as a new user"] = popular[0] not in {item["id"] for item in back["items"]} and {
        reason for item in back["items"] for reason in item["reason"].get("items", ())
    } <= {popular[0]}
    return checks


def _as_a_stranger(client: httpx.Client, user: str, stranger: set[str], **parameters: Any) -> bool:
    answer = recommended(client, user, limit=50, **parameters)
    same = {item["id"] for item in answer["items"]} == stranger if not parameters else True
    return same and all(item["source"] not in {"als", "content"} for item in answer["items"])


def _log_rows(log: Path, user: str) -> int:
    if not log.exists():
        return 0
    tables = (pq.read_table(file, columns=["user_id"]) for file in snapshot(log).files)
    return sum(table.column("user_id").to_pylist().count(user) for table in tables)


def _keys(url: str, user: str) -> list[bytes]:
    with redis.Redis.from_url(url) as connection:
        needle = quote(user, safe="").encode()
        return [key for key in connection.scan_iter(count=1000) if needle in key]


def _values(url: str, user: str) -> list[bytes]:
    """The keys whose value, as DUMP gives it, holds the id; short strings are not compressed there."""
    time.sleep(0.1)
    with redis.Redis.from_url(url) as connection:
        connection.config_set("rdbcompression", "no")
        return [key for key in connection.scan_iter(count=1000) if user.encode() in (connection.dump(key) or b"")]
