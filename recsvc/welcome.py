"""What a person who started the service sees once it answers: the address, and requests to try."""

from __future__ import annotations

import http.client
import json
import shlex
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np

from recsvc.bundle.files import REPORT_NAME
from recsvc.bundle.types import Bundle
from recsvc.eventlog.tombstones import Tombstones


def wait_until_answering(host: str, port: int, patience_seconds: float) -> bool:
    """Asks /healthz until any answer comes; False after `patience_seconds` without one."""
    give_up_at = time.monotonic() + patience_seconds
    while (left := give_up_at - time.monotonic()) > 0:
        connection = http.client.HTTPConnection(host, port, timeout=left)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
        else:
            return True
        finally:
            connection.close()
    return False


def base_url(host: str, port: int) -> str:
    """`http://host:port`, with the brackets that an IPv6 address needs."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def welcome_lines(url: str, bundle: Bundle, erasures: Tombstones, *, keys_needed: bool) -> list[str]:
    """Three requests with ids that the bundle knows, as shell commands, and where its report lies.

    Nobody is named who was erased since the bundle was made.
    """
    key = ' -H "Authorization: Bearer $KEY"' if keys_needed else ""
    lines = ["try:"]
    user_id = _busy_user(bundle, erasures)
    if user_id is not None:
        user = quote(user_id, safe="")
        lines.append(f"  curl{key} {shlex.quote(f'{url}/v1/users/{user}/recommendations?limit=5&fields=title')}")
    if len(bundle.items):
        item = bundle.items[int(np.argmax(bundle.popularity))]
        similar = f"{url}/v1/items/{quote(item, safe='')}/similar?limit=5&fields=title"
        lines.append(f"  curl{key} {shlex.quote(similar)}")
        body = json.dumps({"events": [{"type": "like", "item_id": item}], "limit": 5, "fields": ["title"]})
        lines.append(
            f"  curl{key} {shlex.quote(f'{url}/v1/sessions/recommendations')}"
            f" -H 'Content-Type: application/json' -d {shlex.quote(body)}"
        )
    report = bundle.path / REPORT_NAME
    if report.is_file():
        lines.append(f"the model's report: {_shown(report)}")
    return lines


def _busy_user(bundle: Bundle, erasures: Tombstones) -> str | None:
    """The one with the most interactions among the first, of those who were not erased."""
    busiest_first = np.argsort(-np.diff(bundle.interactions.indptr[:10_001]), kind="stable")
    users = (bundle.users[row] for row in busiest_first.tolist())
    applied_at = bundle.manifest.erasures_applied_at
    return next((user for user in users if not erasures.hides(user, applied_at)), None)


def _shown(path: Path) -> str:
    """Relative to where the person is, if it is below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path.resolve())
