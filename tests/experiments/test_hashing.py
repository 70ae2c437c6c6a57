"""GrowthBook's vectors: packages/sdk-js/test/cases.json, keys `hash` and `inNamespace`."""

from __future__ import annotations

import pytest

from recsvc.experiments.hashing import BUCKETS, NAMESPACE_BUCKETS, bucket, fnv1a32, namespace_bucket, seeded


@pytest.mark.parametrize(
    ("seed", "value", "n"),
    [
        ("seed", "a", 0.0505),
        ("seed", "b", 0.2696),
        ("foo", "ab", 0.2575),
        ("foo", "def", 0.2019),
        ("89123klj", "8952klfjas09ujkasdf", 0.124),
    ],
)
def test_version_2(seed: str, value: str, n: float) -> None:
    assert bucket(seeded(seed), value.encode()) / BUCKETS == n


@pytest.mark.parametrize(
    ("value", "n"),
    [
        ("a", 0.22),
        ("b", 0.077),
        ("ab", 0.946),
        ("def", 0.652),
        ("8952klfjas09ujkasdf", 0.549),
        ("123", 0.011),
        ('___)((*":&', 0.563),
    ],
)
def test_version_1(value: str, n: float) -> None:
    assert fnv1a32(value.encode()) % NAMESPACE_BUCKETS / NAMESPACE_BUCKETS == n


@pytest.mark.parametrize(
    ("value", "name", "in_the_first_part"), [("1", "namespace1", False), ("1", "namespace2", False)]
)
def test_namespaces(value: str, name: str, in_the_first_part: bool) -> None:
    """Parts [0, 0.4) and [0.4, 1)."""
    assert (namespace_bucket(name, value.encode()) / NAMESPACE_BUCKETS < 0.4) is in_the_first_part


def test_the_bytes_of_utf_8_are_hashed() -> None:
    plain = fnv1a32(b"seed\xc3\xbc")
    assert bucket(seeded("seed"), "ü".encode()) == fnv1a32(str(plain).encode()) % BUCKETS
