"""What is wrong with a value, in the words of our own checks: said of the value that the pointer names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_NO_OBJECT: Final = "is not a JSON object"
_PLAIN: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a known field; it may be misspelt",
    "string_type": "is not a string",
    "list_type": "is not a list",
    "dict_type": _NO_OBJECT,
    "model_type": _NO_OBJECT,
    "model_attributes_type": _NO_OBJECT,
}


def detail_of(error: Mapping[str, Any]) -> str:
    """The text for one entry of a validation error: of the most frequent types ours, of the others pydantic's."""
    context = error.get("ctx", {})
    if error["type"] == "too_short" and "min_length" in context:
        return f"has fewer than {context['min_length']} entries"
    if error["type"] == "too_long" and "max_length" in context:
        return f"has more than {context['max_length']} entries"
    return _PLAIN.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
