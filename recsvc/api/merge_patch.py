"""JSON merge patch (RFC 7396)."""

from __future__ import annotations

from typing import Any, Final

_DEEPEST: Final = 16


def merge_patch(target: Any, patch: Any, depth: int = 0) -> Any:
    """`target` with the patch applied, as section 2 of the RFC has it; neither is changed.

    Raises ValueError for a patch nested deeper than anything of ours is.
    """
    if depth > _DEEPEST:
        raise ValueError("the patch is nested too deeply")
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value, depth + 1)
    return merged
