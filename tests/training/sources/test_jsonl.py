"""Events from JSON Lines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from recsvc.events.schema import TYPE_CODES
from tests.training.sources.reading import read, reject_rows, triples
from training.errors import DataInvalid


def test_events_come_back_whatever_the_order_of_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    rows = [
        {"item_id": "v1", "user_id": "u1", "type": "save", "timestamp": "2026-01-01T00:00:00Z", "more": {"a": [1]}},
        {"user_id": 42, "item_id": "é", "type": "view", "timestamp": "2026-01-01T01:00:00.5+01:00", "value": 0.5},
    ]
    path.write_bytes(gzip.compress("\n\n".join(json.dumps(row) for row in rows).encode()))
    dataset = read(path, tmp_path, share=0.0)
    assert triples(dataset) == [("u1", "v1", TYPE_CODES["save"]), ("42", "é", TYPE_CODES["view"])]
    assert dataset.events.timestamps.tolist() == [1767225600.0, 1767225600.5]
    assert np.isnan(dataset.events.values[0])
    assert dataset.events.values[1] == np.float32(0.5)


def test_each_bad_line_is_rejected_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    good = '{"user_id": "u", "item_id": "v"}'
    bad = ['{"user_id": "u", "item', "[1, 2]", "3", '{"user_id": 1.5, "item_id": "v"}', '{"item_id": "v"}']
    path.write_text("\n".join([good, *bad, *[good] * 9]) + "\n")
    dataset = read(path, tmp_path)
    assert len(dataset.events) == 10
    assert [(line, reason) for line, reason, _ in reject_rows(tmp_path)] == [
        ("2", "malformed line: not a JSON object"),
        ("3", "malformed line: not a JSON object"),
        ("4", "malformed line: not a JSON object"),
        ("5", "user_id is missing"),
        ("6", "user_id is missing"),
    ]
    assert reject_rows(tmp_path)[3][2] == bad[3]


def test_keys_with_unusual_characters_can_be_mapped(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text('{"it\'s/a~user": "u", "an.item": "v"}\n')
    assert triples(read(path, tmp_path, columns={"user_id": "it's/a~user", "item_id": "an.item"}))[0][:2] == ("u", "v")


def test_a_missing_key_lists_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"uid": "u", "item_id": "v"}\n{"uid": "u", "when": 3, "item_id": "v"}\n')
    with pytest.raises(DataInvalid, match=r"'user_id'.*item_id, uid, when.*COLUMNS="):
        read(path, tmp_path)
    with pytest.raises(DataInvalid, match="'score' for value"):
        read(path, tmp_path, columns={"user_id": "uid", "value": "score"})
    with pytest.raises(DataInvalid, match="'usr'"):
        read(path, tmp_path, columns={"user_id": "uid", "usr": "uid"})


def test_a_list_of_objects_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text('[\n  {"user_id": "u", "item_id": "v"},\n  {"user_id": "u", "item_id": "w"}\n]\n')
    with pytest.raises(DataInvalid, match=r"events\.json"):
        read(path, tmp_path)
    path.write_text('[{"user_id": "u", "item_id": "v"}]\n')
    with pytest.raises(DataInvalid, match="one object per line"):
        read(path, tmp_path)
