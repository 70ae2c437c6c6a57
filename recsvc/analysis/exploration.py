"""Off-policy estimates from the service's own log: the impressions that were drawn by chance, and what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import numpy as np
from duckdb import DuckDBPyConnection

from recsvc.analysis.errors import AnalysisRefused, SupportMissing
from recsvc.analysis.news import open_news
from recsvc.analysis.offpolicy import LEAST_EFFECTIVE, OffPolicy, effective_sample_size, ips, snips
from recsvc.analysis.tables import quoted
from recsvc.eventlog.reader import DIRECTORY_NAME, snapshot
from recsvc.eventlog.tombstones import read_tombstones

_CHOICES: Final = """
WITH shown AS (
    SELECT user_id, recommendation_id, item_id, any_value(propensity)::DOUBLE AS propensity
    FROM news WHERE type = 'impression' AND valid AND propensity > 0 GROUP BY ALL
), viewed AS (
    SELECT DISTINCT user_id, recommendation_id, item_id FROM news WHERE type = 'view' AND valid
)
SELECT s.propensity, (v.item_id IS NOT NULL)::DOUBLE AS reward, t.probability::DOUBLE AS probability
FROM shown s LEFT JOIN viewed v USING (user_id, recommendation_id, item_id)
LEFT JOIN (
    SELECT recommendation_id, item_id, CASE WHEN count(*) = 1 THEN any_value(probability) END AS probability
    FROM {target} GROUP BY ALL
) t USING (recommendation_id, item_id)
ORDER BY s.recommendation_id, s.item_id
"""

_MOST_LOST: Final = 0.05


def estimate_from_log(connection: DuckDBPyConnection, state_dir: Path, target: Path) -> OffPolicy:
    """Views per impression of another policy, by IPS and SNIPS.

    `target` is a Parquet or CSV file with columns `recommendation_id`, `item_id` and `probability`: that with which the
    other policy would have put this item in this place. Every logged impression with a propensity needs one row.
    `missing` is the share of the other policy's choices that the log never made, estimated by one less the mean weight.
    Raises `SupportMissing` where rows are missing, that share is above 5 % or few effective rows are left, and
    `AnalysisRefused` where there is no log or the file is no such table.
    """
    files = snapshot(state_dir / DIRECTORY_NAME).files
    if not files:
        raise AnalysisRefused(f"{state_dir / DIRECTORY_NAME}: the event log has no events yet; send some first")
    open_news(connection, files, {}, read_tombstones(state_dir))
    try:
        rows = connection.execute(_CHOICES.format(target=quoted(target))).fetchnumpy()
    except duckdb.Error as exc:
        raise AnalysisRefused(
            f"{target}: no table of recommendation_id, item_id and probability ({str(exc).splitlines()[0]})"
        ) from exc
    probability = np.ma.filled(np.ma.asarray(rows["probability"], np.float64), np.nan)
    reward, propensity = (np.asarray(rows[name], np.float64) for name in ("reward", "propensity"))
    unknown = int((~((probability >= 0) & (probability <= 1))).sum())
    if unknown or not len(reward):
        raise SupportMissing(
            f"of {len(reward)} logged impressions with a propensity {unknown} have no probability between 0 and 1, or "
            f"several, in {target}; log an exploration slice, and give the probability of each of its impressions once"
        )
    weight = probability / propensity
    effective = effective_sample_size(weight) if weight.any() else 0.0
    missing = max(0.0, 1 - float(weight.mean()))
    if missing > _MOST_LOST or effective < LEAST_EFFECTIVE:
        raise SupportMissing(
            f"about {missing:.1%} of the other policy's choices were never made in the log (at most {_MOST_LOST:.0%} "
            f"may be missing), and {len(reward)} impressions are worth {effective:.1f} of its own ("
            f"{LEAST_EFFECTIVE:.0f} are needed); log more exploration, or compare policies that are closer"
        )
    return OffPolicy(len(reward), effective, float(weight.max()), missing, (ips(reward, weight), snips(reward, weight)))
