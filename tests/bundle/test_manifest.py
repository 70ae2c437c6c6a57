"""What a manifest may say of a model's kind and of its blend."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from recsvc.bundle.manifest import BlendSpec, Manifest
from tests.builders import make_bundle


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A manifest of the newest format and kind als."""
    found: dict[str, Any] = make_bundle(tmp_path_factory.mktemp("models")).manifest.model_dump()
    return found


def blend(bounds: list[int], factors: list[float], neighbours: list[float], popularity: list[float]) -> dict[str, Any]:
    return {"bounds": bounds, "weights": {"factors": factors, "neighbours": neighbours, "popularity": popularity}}


NEIGHBOURS = blend([], [0.0], [1.0], [0.0])
POPULARITY = blend([], [0.0], [0.0], [1.0])
EVERYTHING = blend([2], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0])


@pytest.mark.parametrize("weight", [1e-50, 1e39])
def test_a_weight_that_float32_cannot_hold_is_refused(weight: float) -> None:
    with pytest.raises(ValidationError, match="neither 0 nor from"):
        BlendSpec.model_validate(blend([], [weight], [0.0], [0.0]))


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("als", None),
        ("bpr", None),
        ("item-item", NEIGHBOURS),
        ("linear", NEIGHBOURS),
        ("popularity", POPULARITY),
        ("blend", EVERYTHING),
        ("blend", NEIGHBOURS),
    ],
)
def test_a_kind_has_the_blend_that_belongs_to_it(
    document: dict[str, Any], kind: str, spec: dict[str, Any] | None
) -> None:
    manifest = Manifest.model_validate(document | {"kind": kind, "blend": spec})
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        ("als", EVERYTHING, "of kind als has a blend"),
        ("bpr", NEIGHBOURS, "of kind bpr has a blend"),
        ("blend", None, "of kind blend has no blend"),
        ("linear", None, "of kind linear has no blend"),
        ("linear", EVERYTHING, "of kind linear blends more than neighbours"),
        ("item-item", POPULARITY, "of kind item-item blends more than neighbours"),
        ("popularity", blend([3], [0, 0], [0, 0], [1, 1]), "or by the length of the history"),
    ],
)
def test_a_kind_and_a_blend_that_disagree_are_refused(
    document: dict[str, Any], kind: str, spec: dict[str, Any] | None, said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        Manifest.model_validate(document | {"kind": kind, "blend": spec})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (blend([5, 5], [1, 1, 1], [0, 0, 0], [0, 0, 0]), "not ascending"),
        (blend([0], [1, 1], [0, 0], [0, 0]), "greater than 0"),
        (blend([5], [1], [0, 0], [0, 0]), "1 bounds of a blend ask for 2 weights"),
        (blend([5], [1, 0], [0, 0], [1, 0]), "no weight above 0"),
        (blend([], [-1.0], [1.0], [0.0]), "greater than or equal to 0"),
        (blend([], [float("inf")], [1.0], [0.0]), "finite"),
        ({"bounds": [], "weights": {"factors": [1.0]}}, "has weights for factors, neighbours, popularity"),
    ],
)
def test_weights_that_are_none_are_refused(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BlendSpec.model_validate(spec)


def test_a_blend_from_before_the_spectrum_gives_it_no_weight() -> None:
    spec = BlendSpec.model_validate(EVERYTHING)
    assert spec.weights["spectrum"] == [0.0, 0.0]
    assert "spectrum" not in spec.components


@pytest.mark.parametrize("version", [1, 2, 3])
def test_formats_before_4_have_no_spectrum(document: dict[str, Any], version: int) -> None:
    older = document | {"format_version": version, "content": None}
    file = {"spectrum.scale.npy": {"sha256": "0" * 64, "bytes": 1}}
    with pytest.raises(ValidationError, match=f"manifest of format {version} has no spectrum"):
        Manifest.model_validate(older | {"files": file})


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "added", [{"kind": "bpr"}, {"kind": "blend", "blend": EVERYTHING}, {"objective": {"frequency_exponent": 0.5}}]
)
def test_formats_before_3_have_nothing_that_came_with_it(
    document: dict[str, Any], version: int, added: dict[str, Any]
) -> None:
    older = document | {"format_version": version, "content": None}
    assert Manifest.model_validate(older).kind == "als"
    objective = older["objective"] | added.get("objective", {})
    with pytest.raises(ValidationError, match=f"manifest of format {version} has no kind but als"):
        Manifest.model_validate(older | added | {"objective": objective})
