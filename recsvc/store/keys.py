"""Names of the Redis keys. Everything of one user carries the hash tag of the user's partition, `{p042}`.

An id inside a key is percent-encoded, so neither a colon nor a brace of an id can be taken for one of ours.
"""

from __future__ import annotations

from urllib.parse import quote

from recsvc.eventlog.position import partition_of


def hash_tag(partition: int) -> str:
    """The partition's hash tag, by which Redis Cluster keeps its keys in one slot."""
    return f"{{p{partition:03d}}}"


def recommendations_key(user_id: str, model_version: str, parameters_digest: str) -> str:
    """Where a cached list lies: per user, model and digest of the request's parameters."""
    return _user_key("rec", user_id, model_version, parameters_digest)


def computation_key(user_id: str, model_version: str, parameters_digest: str) -> str:
    """Where the worker that computes that list leaves its mark meanwhile."""
    return _user_key("lock", user_id, model_version, parameters_digest)


def _user_key(family: str, user_id: str, *parts: str) -> str:
    encoded = ":".join(quote(part, safe="") for part in (user_id, *parts))
    return f"{hash_tag(partition_of(user_id))}:{family}:{encoded}"
