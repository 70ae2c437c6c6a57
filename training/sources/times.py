"""Timestamps as files have them, to Unix seconds; what cannot be one is named, with its remedy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.bundle.types import Bool
from training.sources.engine import query

LATEST_SECONDS: Final = 4_102_444_800.0
"""2100-01-01: later times, and any before 1970, are mistakes."""
_CLOCK_SKEW_SECONDS: Final = 86_400.0
MILLISECONDS_FROM: Final = 1e11
"""As seconds the year 5138, as milliseconds 1973: a number this large counts milliseconds (or still less)."""

MISSING: Final = "timestamp is missing"
UNREADABLE: Final = "timestamp is neither Unix seconds nor RFC 3339"
NO_OFFSET: Final = "timestamp has no UTC offset"
MILLISECONDS: Final = "timestamp is in milliseconds or finer"
OUT_OF_RANGE: Final = "timestamp is out of range"
NUMBER_AMONG_TEXT: Final = "timestamp is a number where most are RFC 3339"
TEXT_AMONG_NUMBERS: Final = "timestamp is RFC 3339 where most are numbers"

REMEDIES: Final = {
    MISSING: "give every event a time, or leave the whole column out",
    UNREADABLE: "write Unix seconds (1767225600) or RFC 3339 (2026-01-01T00:00:00Z)",
    NO_OFFSET: "end each time with Z or an offset: 2026-01-01T00:00:00Z",
    MILLISECONDS: "divide Unix milliseconds by 1,000: times are in seconds",
    OUT_OF_RANGE: "times are Unix seconds from 1970 to today; what lies more than a day ahead is a mistake",
    NUMBER_AMONG_TEXT: "use one format in the whole column",
    TEXT_AMONG_NUMBERS: "use one format in the whole column",
}

_CLOCK: Final = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?"
_OFFSET: Final = r"([Zz]|[+-]\d\d:\d\d)"


@dataclass(frozen=True, slots=True)
class Times:
    """`seconds` float64 (n,) Unix seconds, meaningless where a fault says so; `faults` reason → bool (n,)."""

    seconds: npt.NDArray[np.float64]
    faults: dict[str, Bool]


def read_times(column: Any) -> Times:
    """A column of text, numbers (Unix seconds) or pyarrow timestamps in UTC.

    Text and numbers may not mix: rows not of the format that most have (the first row's, when as many have either)
    are faults. RFC 3339's lower-case letters and the space between date and time are accepted, leap seconds are not.
    """
    missing = column.is_null().to_numpy()
    if pa.types.is_timestamp(column.type):
        micros = pc.cast(column, pa.int64()).fill_null(0).to_numpy()
        seconds = micros / 1e6
        return Times(seconds, {MISSING: missing, OUT_OF_RANGE: ~missing & _outside(seconds)})
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _read_text(column, missing)
    seconds = pc.cast(column, pa.float64()).fill_null(0.0).to_numpy()
    return Times(seconds, {MISSING: missing, **_number_faults(seconds, ~missing)})


def _outside(seconds: npt.NDArray[np.float64]) -> Bool:
    # One event far ahead would be the moment all others are decayed to, and fade them out.
    latest = min(LATEST_SECONDS, time.time() + _CLOCK_SKEW_SECONDS)
    return ~((seconds >= 0) & (seconds < latest))


def _number_faults(numbers: npt.NDArray[np.float64], there: Bool) -> dict[str, Bool]:
    finite = there & np.isfinite(numbers)
    fine_grained = finite & (np.abs(numbers) >= MILLISECONDS_FROM)
    return {
        UNREADABLE: there & ~finite,
        MILLISECONDS: fine_grained,
        OUT_OF_RANGE: finite & ~fine_grained & _outside(numbers),
    }


def _read_text(column: Any, missing: Bool) -> Times:
    moment = f"regexp_full_match(t, '{_CLOCK}{_OFFSET}')"
    parsed = query(
        f"""
        SELECT number,
               CASE WHEN number IS NULL AND {moment} THEN epoch(try_cast(upper(t) AS TIMESTAMPTZ)) END AS moment,
               number IS NULL AND NOT {moment} AND regexp_full_match(t, '{_CLOCK}') AS no_offset
        FROM (SELECT t, try_cast(t AS DOUBLE) AS number FROM times)
        """,  # noqa: S608
        times=pa.table({"t": column}),
    )
    is_number = parsed.column("number").is_valid().to_numpy()
    is_moment = parsed.column("moment").is_valid().to_numpy()
    no_offset = parsed.column("no_offset").fill_null(False).to_numpy()
    numbers = parsed.column("number").fill_null(0.0).to_numpy()
    moments = parsed.column("moment").fill_null(0.0).to_numpy()
    faults = _number_faults(numbers, is_number)
    faults[OUT_OF_RANGE] |= is_moment & _outside(moments)
    faults[UNREADABLE] |= ~missing & ~is_number & ~is_moment & ~no_offset
    balance = int(is_number.sum()) - int(is_moment.sum())
    if balance == 0 and is_number.any():
        balance = 1 if is_number.argmax() < is_moment.argmax() else -1
    stray = {TEXT_AMONG_NUMBERS: is_moment} if balance > 0 else {NUMBER_AMONG_TEXT: is_number}
    return Times(np.where(is_number, numbers, moments), {MISSING: missing, NO_OFFSET: no_offset, **faults, **stray})
