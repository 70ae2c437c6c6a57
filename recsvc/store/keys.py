"""Names of the Redis keys. Everything of one user carries the hash tag of the user's partition, `{p042}`.

An id is always the last part of a name, as it is: no character of it can then be taken for one of ours. Scripts are
given these names; the one thing they add is the bucket of a duplicate filter.
"""

from __future__ import annotations

from typing import Final

from recsvc.eventlog.position import PARTITIONS, partition_of

WORKERS_KEY: Final = "{workers}"
"""Hash of the event workers that are alive; one field a worker, which whoever counts them removes when it is stale."""

LOG_KEY: Final = "{workers}:log"
"""String: the name of the log that the events go to (`worker.log_identity`). No TTL; one name."""

REWRITTEN_KEY: Final = "{workers}:rewritten"
"""String: Unix seconds up to which erasures are out of Redis' append-only file. No TTL; one number."""

ITEMS_KEY: Final = "{live}:items"
"""Hash item id → JSON of the item as it is now. No TTL; one field for each item ever changed, a million at most."""

ERASURES_KEY: Final = "{live}:erasures"
"""Hash digest → JSON of a tombstone. No TTL; one field for each user ever erased."""

LAST_ERASURE_KEY: Final = "{live}:erased"
"""String: `erased_at` of the latest tombstone, which the next one is above. No TTL; one number."""

CHANGES_KEY: Final = "{live}:changes"
"""Stream of both; its entry `n-0` is the n-th change there ever was. No TTL; capped at about 100,000 entries."""

MERGES_KEY: Final = "{merges}:lock"
"""String: who is merging users now. Ten seconds at most."""

EXPERIMENTS_KEY: Final = "{experiments}:definitions"
"""Hash experiment key → JSON of its definition. No TTL; 500 fields at most."""

EXPERIMENTS_VERSION_KEY: Final = "{experiments}:version"
"""String: another number after each change of a definition. No TTL; one number."""

_TAGS: Final = tuple(f"{{p{partition:03d}}}" for partition in range(PARTITIONS))


def hash_tag(partition: int) -> str:
    """The partition's hash tag, by which Redis Cluster keeps its keys in one slot."""
    return _TAGS[partition]


def log_key(partition: int) -> str:
    """Stream of the partition's events on their way to the log. No TTL: unread events are never trimmed; whoever adds
    one keeps to the limit."""
    return f"{_TAGS[partition]}:log"


def dead_key(partition: int) -> str:
    """Stream of entries that the log could not take, under their ids of the log's stream: `e` the entry, `why` the
    reason. Capped at about 1,000 entries; 30 days."""
    return f"{_TAGS[partition]}:dead"


def lease_key(partition: int) -> str:
    """String: the worker that owns the partition. It lives as long as a lease."""
    return f"{_TAGS[partition]}:lease"


def state_key(user_id: str) -> str:
    """Hash of a user's state. 31 days from the last day with an event; for good once the user was merged into another.

    `seq` sequence number; where there is none yet it begins at Redis' time in microseconds, so that it never repeats
    after an erasure. `dropped` `<partition>:<stream id>` of the newest recent event that no longer fits. `into` the
    user this one was merged into, `sealed` the stream id of the entry that says so. `unit` whose id experiments hash
    instead: the visitor's with whom the account began. `day`, in one number, the last day with an event and which
    buckets of the duplicate filter there are (see `scripts/ingest.lua`).
    """
    return f"{_TAGS[partition_of(user_id)]}:u:{user_id}"


def recent_key(user_id: str) -> str:
    """List of the user's recent events in order of arrival (see `records`). Capped at 200; 31 days."""
    return f"{_TAGS[partition_of(user_id)]}:recent:{user_id}"


def filter_key(user_id: str, day: int, bucket: int) -> str:
    """Set of the ids of events accepted on a day (of Unix time) as 64-bit integers (`event_store.event_number`).

    At most 512 in each of eight buckets, so that Redis keeps them in 8 bytes each under its default settings; the last
    one takes whatever comes. Two days: an id is known for 24 hours at least.
    """
    begins, ends = filter_affixes(user_id)
    return f"{begins}{day}.{bucket}{ends}"


def filter_affixes(user_id: str) -> tuple[str, str]:
    """The parts of those names before the day and after the bucket, for the scripts, which know the time."""
    return f"{_TAGS[partition_of(user_id)]}:dup:", f":{user_id}"


def unwanted_key(user_id: str) -> str:
    """Hash of what the user does not want: `c:<creator>`, `t:<topic>` and `r:<reported item>` → Unix milliseconds.

    Capped at 1,000 creators and topics and at 5,000 reports, of which the oldest go. 90 days from the last change; for
    good with a report.
    """
    return f"{_TAGS[partition_of(user_id)]}:no:{user_id}"


def lists_key(user_id: str) -> str:
    """Hash of cached lists by digest, and `m<digest>`: who computes one. Capped at 16 fields; the TTL of the cache."""
    return f"{_TAGS[partition_of(user_id)]}:rec:{user_id}"


def profile_key(user_id: str) -> str:
    """String: the user resource as JSON. No TTL; one for each registered user."""
    return f"{_TAGS[partition_of(user_id)]}:profile:{user_id}"


def merged_key(user_id: str) -> str:
    """Hash of the users merged into this one → stream id of the entry that says so. No TTL; capped at 1,000 fields."""
    return f"{_TAGS[partition_of(user_id)]}:merged:{user_id}"


def experiment_audit_key(key: str) -> str:
    """List of what was changed in an experiment, as JSON. Capped at 500 entries; 400 days from the last one."""
    return f"{{experiments}}:audit:{key}"


def of_events(user_id: str) -> tuple[tuple[str, str, str, str], str, str]:
    """State, log, recent events and unwanted of a user, then `filter_affixes`: made in one go, for each event."""
    tag = _TAGS[partition_of(user_id)]
    return (
        (f"{tag}:u:{user_id}", f"{tag}:log", f"{tag}:recent:{user_id}", f"{tag}:no:{user_id}"),
        f"{tag}:dup:",
        f":{user_id}",
    )


def of_reads(user_id: str) -> tuple[str, str, str, str, str]:
    """State, cached lists, recent events, unwanted and profile of a user."""
    tag = _TAGS[partition_of(user_id)]
    return (
        f"{tag}:u:{user_id}",
        f"{tag}:rec:{user_id}",
        f"{tag}:recent:{user_id}",
        f"{tag}:no:{user_id}",
        f"{tag}:profile:{user_id}",
    )
