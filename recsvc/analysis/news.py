"""The rows of the log that were not counted yet, as the view `news`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
from duckdb import DuckDBPyConnection

from recsvc.analysis.tables import quoted
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.rows import SCHEMA
from recsvc.eventlog.tombstones import Tombstones

_NEWS: Final = """
CREATE OR REPLACE TEMP VIEW news AS
SELECT r.partition, r.stream_ms AS ms, r.stream_seq AS seq, r.user_id, r.type, epoch_us(r.timestamp) AS happened,
    (epoch_us(r.timestamp) // 86400000000)::INTEGER AS day, r.value, r.session_id, r.target_id, r.placement,
    coalesce(r.attribution = 'valid', false) AS valid, r.experiments, r.position, r.source, r.team,
    r.recommendation_id, r.item_id, r.propensity
FROM (SELECT * FROM read_parquet([{files}], union_by_name = true) UNION ALL BY NAME SELECT * FROM template) r
LEFT JOIN counted c ON c.partition = r.partition
WHERE (c.ms IS NULL OR (r.stream_ms, r.stream_seq) > (c.ms, c.seq)) {forgotten}
"""

_FORGOTTEN: Final = """
    AND NOT EXISTS (FROM erased x WHERE x.digest = substr(sha256(r.user_id), 1, 32)
        AND (r.stream_ms, r.stream_seq) <= (x.ms, x.seq))
    AND NOT EXISTS (FROM erased x WHERE r.type = 'merge' AND x.digest = substr(sha256(r.target_id), 1, 32)
        AND r.stream_ms <= x.ms)
"""


def open_news(
    connection: DuckDBPyConnection, files: Sequence[Path], ends: Mapping[int, StreamId], tombstones: Tombstones
) -> None:
    """Makes `news` of the files' rows after `ends`, those of erased users left out (as `rows.erased_rows` has it)."""
    connection.register("template", SCHEMA.empty_table())  # columns that older files lack read as NULL
    places = sorted(ends.items())
    counted = {"partition": [partition for partition, _ in places], **_places(end for _, end in places)}
    connection.register("counted", pa.table(counted, schema=_schema("partition", pa.int16())))
    marks = list(tombstones)
    erased = {"digest": [mark.digest for mark in marks], **_places(mark.until for mark in marks)}
    connection.register("erased", pa.table(erased, schema=_schema("digest", pa.string())))
    listed = ", ".join(quoted(file) for file in files)
    connection.execute(_NEWS.format(files=listed, forgotten=_FORGOTTEN if marks else ""))


def _places(ends: Iterable[StreamId]) -> dict[str, list[int]]:
    listed = list(ends)
    return {"ms": [end.milliseconds for end in listed], "seq": [end.sequence for end in listed]}


def _schema(key: str, kind: pa.DataType) -> pa.Schema:
    return pa.schema([(key, kind), ("ms", pa.int64()), ("seq", pa.int64())])
