"""`recommendation_id`: a signed token that says which answer an event belongs to, without stored state.

"r1." or "r2.", payload "." mac, both base64url. Payload, little-endian: issued u32 (Unix seconds), user digest 8 bytes,
nonce 8 bytes, then placement and model version, each a length byte and UTF-8. In "r2." follow the experiments: how many
u8, and for each the experiment, the variant (as above), the phase u16 and flags u8 (1 forced, 2 fallback); then, if
there are any, the marks of items (`_marked`). An answer outside of experiments has an "r1." token. The mac is
HMAC-SHA256 over the prefix and the payload, cut to 16 bytes (128 bits; RFC 2104, section 5, asks for at least half of
the digest).

What follows the nonce is the same for everybody with the same assignment, and is kept ready.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import struct
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from recsvc.eventlog.event import Arm

_PLAIN: Final = "r1."
_WITH_EXPERIMENTS: Final = "r2."
_HEAD: Final = struct.Struct("<I8s8s")
_ARM: Final = struct.Struct("<HB")
_FORCED, _FALLBACK = 1, 2
_OF_TEAMS, _OF_PROPENSITIES = 1, 2
TEAMS: Final = ("a", "b")
"""What the log calls the first and the second team of an interleaved list."""
_MAC_BYTES: Final = 16
_DIGEST_BYTES: Final = 8
_KEY_BYTES: Final = 32
_MIN_KEY_BYTES: Final = 16
MAX_CHARACTERS: Final = 4_096
"""Of a token: what `experiments.live.MAX_RUNNING` experiments with the longest names leave room for."""
_TAILS_KEPT: Final = 4_096


class _Entropy:
    """Random bytes of the system, fetched 4 KiB at a time: a call of the kernel for each eight would cost more than the
    signature. Each byte is given out once. Not to be shared by forked processes: workers are spawned."""

    def __init__(self) -> None:
        self._bytes, self._at = b"", 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._bytes):
            self._bytes, self._at = os.urandom(4096), 0
        self._at += count
        return self._bytes[self._at - count : self._at]


random_bytes: Final = _Entropy().take
"""So many bytes that nobody can foresee, at most 4,096; for use from one thread."""


class Mark(NamedTuple):
    """What a token says of one item: the team that placed it, or the probability with which it got its place."""

    team: str | None = None
    propensity: float | None = None


NO_MARK: Final = Mark()


class TokenInvalid(Exception):  # noqa: N818
    """A recommendation_id that this service did not sign, that was altered, or that is too old."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a verified token says. `issued` Unix seconds; `user_digest` 8 bytes, see `TokenSigner.is_of`."""

    issued: int
    placement: str
    model_version: str
    user_digest: bytes
    nonce: bytes
    experiments: tuple[Arm, ...] = ()
    marks: Mapping[int, Mark] = field(default_factory=dict)

    def mark_of(self, item_id: str) -> Mark | None:
        """What is said of the item; None also for two items of the answer that cannot be told apart (one answer of 20
        in 345 has such two). An item that was not in the answer is taken for one of it once in 3,000 times."""
        return self.marks.get(_fingerprint(item_id))


@dataclass(frozen=True, slots=True)
class Stamp:
    """Tokens of one user, placement, model and assignment."""

    _prefix: str
    _key: bytes
    _digest: bytes
    _tail: bytes

    def issue(self, issued: int) -> bytes:
        """A fresh token, ASCII; `issued` Unix seconds."""
        payload = _HEAD.pack(issued, self._digest, random_bytes(_DIGEST_BYTES)) + self._tail
        mac = _mac(self._key, self._prefix, payload)
        return b"%s%s.%s" % (self._prefix.encode("ascii"), _b64(payload), _b64(mac))


class TokenSigner:
    """Signs with the first key, verifies with all of them, so that keys can rotate."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("a signer needs at least one key")
        self._keys = tuple(keys)

    def stamp(
        self,
        *,
        placement: str,
        model_version: str,
        user_id: str,
        experiments: tuple[Arm, ...] = (),
        marks: Sequence[tuple[str, Mark]] = (),
    ) -> Stamp:
        """What issues tokens that differ in nothing but time and nonce; names at most 255 bytes, an empty `user_id` for
        nobody. `marks` of item ids, at most 255 and all of one kind, belong to an answer with experiments."""
        key = self._keys[0]
        prefix = _WITH_EXPERIMENTS if experiments else _PLAIN
        tail = _tail(placement, model_version, experiments)
        return Stamp(prefix, key, _user_digest(key, user_id), tail + _marked(marks) if marks else tail)

    def issue(
        self, *, issued: int, placement: str, model_version: str, user_id: str, experiments: tuple[Arm, ...] = ()
    ) -> str:
        """One fresh token; `issued` Unix seconds, the rest as `stamp` takes it."""
        stamp = self.stamp(placement=placement, model_version=model_version, user_id=user_id, experiments=experiments)
        return stamp.issue(issued).decode("ascii")

    def verify(self, text: str, *, now: float, max_age_seconds: float) -> Token:
        """What the token says. Raises TokenInvalid when it is malformed, forged, expired or from the future."""
        prefix, payload, mac = _split(text)
        if not any(hmac.compare_digest(_mac(key, prefix, payload), mac) for key in self._keys):
            raise TokenInvalid("recommendation_id was not signed by this service, or was altered")
        token = _parse(payload, with_experiments=prefix == _WITH_EXPERIMENTS)
        # A minute of grace: clocks of machines that share the keys differ a little.
        if not -60 <= now - token.issued <= max_age_seconds:
            raise TokenInvalid("recommendation_id has expired, or is dated in the future")
        return token

    def is_of(self, token: Token, user_id: str) -> bool:
        """Whether the token was issued for this user."""
        return any(hmac.compare_digest(_user_digest(key, user_id), token.user_digest) for key in self._keys)


def load_or_create_key(path: Path) -> bytes:
    """The key in `path`, made on first use with mode 0600; processes that race agree on one.

    Raises OSError when it can be neither read nor made, ValueError when the file is no key.
    """
    try:
        return _read_key(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(_KEY_BYTES).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        # A link fails where a rename would replace: the first process wins, whole, and the others read its key.
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    text = path.read_bytes().strip()
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError as exc:
        raise ValueError(f"{path} does not hold a key in hexadecimal; remove it and a new one is made") from exc
    if len(key) < _MIN_KEY_BYTES:
        raise ValueError(f"{path} holds a key of {len(key)} bytes, too short; remove it and a new one is made")
    return key


def _split(text: str) -> tuple[str, bytes, bytes]:
    """Prefix, payload and mac. There is one way to write a token: what decodes to the same bytes is another text."""
    prefix, parts = text[:3], text[3:].split(".")
    if prefix not in (_PLAIN, _WITH_EXPERIMENTS) or len(text) > MAX_CHARACTERS or len(parts) != 2:
        raise TokenInvalid("recommendation_id is not a token of this service")
    try:
        payload, mac = (base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True) for part in parts)
    except (binascii.Error, ValueError) as exc:
        raise TokenInvalid("recommendation_id is not a token of this service") from exc
    if [_b64(payload).decode("ascii"), _b64(mac).decode("ascii")] != parts:
        raise TokenInvalid("recommendation_id is not a token of this service")
    return prefix, payload, mac


def _parse(payload: bytes, *, with_experiments: bool) -> Token:
    # Only signed payloads come here, so the lengths are ours.
    issued, digest, nonce = _HEAD.unpack_from(payload)
    placement, at = _take(payload, _HEAD.size)
    version, at = _take(payload, at)
    arms: list[Arm] = []
    number = payload[at] if with_experiments else 0
    at += 1
    for _ in range(number):
        experiment, at = _take(payload, at)
        variant, at = _take(payload, at)
        phase, flags = _ARM.unpack_from(payload, at)
        at += _ARM.size
        arms.append(Arm(experiment, phase, variant, bool(flags & _FORCED), bool(flags & _FALLBACK)))
    return Token(issued, placement, version, digest, nonce, tuple(arms), _read_marks(payload, at))


def _marked(marks: Sequence[tuple[str, Mark]]) -> bytes:
    """How many u8 and the kind u8 (1 teams, 2 propensities); fingerprints u16 each; then the teams, a bit each from the
    lowest of a byte on (0 the first team), or the propensities, binary16 each: within 0.05 % where above 0.00006."""
    prints = struct.pack(f"<{len(marks)}H", *(_fingerprint(item_id) for item_id, _ in marks))
    if marks[0][1].team is not None:
        bits = sum((mark.team == TEAMS[1]) << place for place, (_, mark) in enumerate(marks))
        return bytes((len(marks), _OF_TEAMS)) + prints + bits.to_bytes((len(marks) + 7) // 8, "little")
    propensities = struct.pack(f"<{len(marks)}e", *(mark.propensity for _, mark in marks))
    return bytes((len(marks), _OF_PROPENSITIES)) + prints + propensities


def _read_marks(payload: bytes, at: int) -> dict[int, Mark]:
    if at >= len(payload):
        return {}
    number, kind = payload[at], payload[at + 1]
    prints = struct.unpack_from(f"<{number}H", payload, at + 2)
    at += 2 + 2 * number
    if kind == _OF_TEAMS:
        bits = int.from_bytes(payload[at:], "little")
        marks = [Mark(team=TEAMS[bits >> place & 1]) for place in range(number)]
    else:
        marks = [Mark(propensity=value) for value in struct.unpack_from(f"<{number}e", payload, at)]
    found: dict[int, Mark] = {}
    for fingerprint, mark in zip(prints, marks, strict=True):
        if found.setdefault(fingerprint, mark) != mark:
            found[fingerprint] = NO_MARK
    return {fingerprint: mark for fingerprint, mark in found.items() if mark != NO_MARK}


def _fingerprint(item_id: str) -> int:
    return zlib.crc32(item_id.encode("utf-8")) & 0xFFFF


@lru_cache(_TAILS_KEPT)
def _tail(placement: str, model_version: str, experiments: tuple[Arm, ...]) -> bytes:
    """The payload after the nonce."""
    names = _short(placement) + _short(model_version)
    if not experiments:
        return names
    arms = (
        _short(arm.experiment)
        + _short(arm.variant)
        + _ARM.pack(arm.phase, _FORCED * arm.forced | _FALLBACK * arm.fallback)
        for arm in experiments
    )
    return b"".join((names, bytes((len(experiments),)), *arms))


def _take(payload: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + payload[at]
    return payload[at + 1 : end].decode("utf-8"), end


def _short(text: str) -> bytes:
    raw = text.encode("utf-8")
    return bytes([len(raw)]) + raw


def _user_digest(key: bytes, user_id: str) -> bytes:
    return hmac.digest(key, b"user:" + user_id.encode("utf-8"), hashlib.sha256)[:_DIGEST_BYTES]


def _mac(key: bytes, prefix: str, payload: bytes) -> bytes:
    return hmac.digest(key, prefix.encode("ascii") + payload, hashlib.sha256)[:_MAC_BYTES]


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def _b64(raw: bytes) -> bytes:
    # As base64.urlsafe_b64encode, which takes twice the time to get here.
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=")
