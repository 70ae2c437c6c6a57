"""Which bucket an id falls into: GrowthBook's hash, so that its SDKs give the same variants.

Version 2: fnv1a32(str(fnv1a32(seed + value))) % 10,000. Version 1, for namespaces: fnv1a32(value + seed) % 1,000.
Source: GrowthBook, "Build your own SDK" and packages/sdk-js/test/cases.json. Their JavaScript hashes UTF-16 units; here
it is the UTF-8 bytes, which is the same for ASCII ids and differs for others.
"""

from __future__ import annotations

from typing import Final

BUCKETS: Final = 10_000
"""Of version 2; a bucket divided by this is GrowthBook's n."""
NAMESPACE_BUCKETS: Final = 1_000
"""Of version 1."""

_OFFSET: Final = 0x811C9DC5
_PRIME: Final = 0x01000193
_MASK: Final = 0xFFFFFFFF


def fnv1a32(data: bytes, state: int = _OFFSET) -> int:
    """The 32-bit FNV-1a hash of the bytes, going on from `state` (draft-eastlake-fnv)."""
    for byte in data:
        state = ((state ^ byte) * _PRIME) & _MASK
    return state


def seeded(seed: str) -> int:
    """The state after the seed: `bucket` goes on from it, so that a seed is hashed once and not once an id."""
    return fnv1a32(seed.encode("utf-8"))


def bucket(state: int, value: bytes) -> int:
    """The bucket, 0 to 9,999, of an id (UTF-8) under the seed of which `state` is."""
    return fnv1a32(b"%d" % fnv1a32(value, state)) % BUCKETS


def namespace_bucket(name: str, value: bytes) -> int:
    """The bucket, 0 to 999, of an id (UTF-8) in the namespace."""
    return fnv1a32(b"__" + name.encode("utf-8"), fnv1a32(value)) % NAMESPACE_BUCKETS
