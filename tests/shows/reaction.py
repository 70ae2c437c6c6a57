"""A new user likes three items of one topic, and the next list shows it; then the same across two processes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.shows.stage import event, recommended, send, stage

LENGTH = 10


def show(directory: Path) -> int:
    """Exit status 0 when the topic leads both lists after the likes."""
    with stage(directory) as ready, ready.services(2) as (a, b):
        print("\n== one service process ==")
        alone = _react(a, a)
        print("\n== likes sent to process A, lists asked of process B ==")
        across = _react(a, b)
    return 0 if alone and across else 1


def _react(sender: httpx.Client, asker: httpx.Client) -> bool:
    user = f"newcomer-{uuid4().hex[:6]}"
    sender.put(f"/v1/users/{user}", json={"attributes": {"from": "show"}}).raise_for_status()
    before = recommended(asker, user, limit=LENGTH, fields="title,categories")
    topic = _rarest_topic(before)
    liked = sender.get("/v1/lists/popular", params={"category": topic, "limit": 3, "fields": "title"}).json()["items"]
    send(sender, *(event(user, item["id"]) for item in liked))
    after = recommended(asker, user, limit=LENGTH, fields="title,categories")
    print(f"new user {user}; likes of the topic {topic!r}:")
    for item in liked:
        print(f"  ♥ {item['id']}  {item['title']}")
    old = ["before", *map(_line, before["items"])]
    new = ["after", *map(_line, after["items"])]
    width = max(map(len, old))
    for left, right in zip(old, new, strict=True):
        print(f"  {left:<{width}}  {right}")
    counts = [sum(topic in item["categories"] for item in answer["items"]) for answer in (before, after)]
    liked_again = {item["id"] for item in liked} & {item["id"] for item in after["items"]}
    print(f"{topic}: {counts[0]} of {LENGTH} before, {counts[1]} of {LENGTH} after; degraded: {after['degraded']}")
    return counts[1] > counts[0] and counts[1] > LENGTH // 2 and not liked_again and not after["degraded"]


def _rarest_topic(answer: Any) -> str:
    counts = Counter(category for item in answer["items"] for category in item["categories"])
    return min(counts, key=lambda topic: (counts[topic], topic))


def _line(item: dict[str, Any]) -> str:
    return f"{item['id']} {item['title'][:28]:<29}{','.join(item['categories'])[:15]:<16} {item['source']}"
