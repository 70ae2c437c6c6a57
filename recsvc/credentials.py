"""Secrets as they are written in the settings: API keys, `<key>:<scope>[,<scope>...]`, and token keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

SCOPES: Final[frozenset[str]] = frozenset({"read", "events", "experiments", "admin"})
"""What a key may do; `admin` implies the others."""

MIN_KEY_CHARACTERS: Final = 16

# What a bearer token may contain (RFC 6750, section 2.1), so that every accepted key can be sent.
_BEARER = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key and what it may do. The key stays out of `repr`."""

    key: str = field(repr=False)
    scopes: frozenset[str]


def parse_api_keys(text: str) -> tuple[ApiKey, ...]:
    """Reads the entries of `text`; a line's rest after `#` is a comment.

    Raises `ValueError` naming the entry by its position, never by its key.
    """
    entries = [entry for line in text.splitlines() for entry in line.partition("#")[0].split()]
    parsed: list[ApiKey] = []
    for position, entry in enumerate(entries, start=1):
        api_key = _parse_entry(position, entry)
        if any(api_key.key == other.key for other in parsed):
            raise ValueError(f"entry {position} repeats the key of an earlier entry; give it all scopes at once")
        parsed.append(api_key)
    return tuple(parsed)


def parse_token_keys(text: str) -> tuple[bytes, ...]:
    """The keys between white space or commas, the signing one first. Raises `ValueError` naming a key by its place."""
    keys = tuple(key.encode("utf-8") for key in text.replace(",", " ").split())
    if not keys:
        raise ValueError("holds no key; make one with: openssl rand -hex 32")
    short = next((place for place, key in enumerate(keys, start=1) if len(key) < MIN_KEY_CHARACTERS), None)
    if short is not None:
        raise ValueError(f"key {short} is shorter than {MIN_KEY_CHARACTERS} bytes; make one with: openssl rand -hex 32")
    return keys


def _parse_entry(position: int, entry: str) -> ApiKey:
    key, colon, scope_list = entry.rpartition(":")
    if not colon:
        raise ValueError(f"entry {position} has no ':'; write <key>:<scope>[,<scope>...]")
    if len(key) < MIN_KEY_CHARACTERS:
        raise ValueError(f"entry {position}: the key is shorter than {MIN_KEY_CHARACTERS} characters")
    if not _BEARER.fullmatch(key):
        raise ValueError(f"entry {position}: the key may hold only letters, digits and -._~+/ (and = at its end)")
    scopes = frozenset(scope_list.split(","))
    # A mistyped entry may have the key where the scopes belong, so what was read is not shown.
    if not scopes <= SCOPES:
        raise ValueError(f"entry {position}: unknown scope; the scopes are {', '.join(sorted(SCOPES))}")
    return ApiKey(key, scopes)
