"""What is printed once the service answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsvc.eventlog.position import StreamId
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of
from recsvc.welcome import welcome_lines
from tests.builders import make_bundle


def test_the_busiest_user_who_was_not_erased_is_named(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    busiest = [bundle.users[int(row)] for row in np.argsort(-np.diff(bundle.interactions.indptr), kind="stable")]

    def lines(*erased: str) -> str:
        tombstones = Tombstones(Tombstone(digest_of(user), StreamId(1, 0), 1e12) for user in erased)
        return "\n".join(welcome_lines("http://h", bundle, tombstones, keys_needed=False))

    assert f"/v1/users/{busiest[0]}/" in lines()
    assert f"/v1/users/{busiest[2]}/" in lines(*busiest[:2])
    assert "/v1/users/" not in lines(*busiest)
