"""Which answer of ours an event belongs to, by the token that it brings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from recsvc.eventlog.event import LogEvent
from recsvc.tokens import NO_MARK, Token, TokenInvalid, TokenSigner

MAX_AGE_SECONDS: Final = 30 * 24 * 3600.0
"""What follows an answer later than this is not attributed to it."""

VALID: Final = "valid"
INVALID: Final = "invalid"

_NOBODY: Final = ""
"""Whom the tokens of everybody's lists, of similar items and of sessions are issued to."""


class Attributor:
    """Verifies tokens. A token that does not hold costs the attribution, never the event."""

    def __init__(self, signer: TokenSigner, merged_ids: Callable[[str], Awaitable[set[str]]]) -> None:
        """`merged_ids` gives the ids that were merged into a user; it may raise `StoreUnavailable`."""
        self._signer = signer
        self._merged_ids = merged_ids

    async def attribute(self, events: Sequence[LogEvent], now: float) -> list[LogEvent]:
        """The events, those with a `recommendation_id` attributed. Raises what `merged_ids` raises.

        A page sends many events with one token: each is verified once, and asked about once for each user.
        """
        tokens: dict[str, Token | None] = {}
        owners: dict[tuple[str, str], bool] = {}
        attributed = []
        for event in events:
            text = event.recommendation_id
            if text is None:
                attributed.append(event)
                continue
            if text not in tokens:
                tokens[text] = self._verified(text, now)
            token = tokens[text]
            if token is not None and (text, event.user_id) not in owners:
                owners[text, event.user_id] = await self._may_bring(event.user_id, token)
            if token is not None and owners[text, event.user_id]:
                attributed.append(_valid(event, token))
            else:
                attributed.append(replace(event, attribution=INVALID))
        return attributed

    def _verified(self, text: str, now: float) -> Token | None:
        try:
            return self._signer.verify(text, now=now, max_age_seconds=MAX_AGE_SECONDS)
        except TokenInvalid:
            return None

    async def _may_bring(self, user_id: str, token: Token) -> bool:
        if self._signer.is_of(token, user_id) or self._signer.is_of(token, _NOBODY):
            return True
        return any(self._signer.is_of(token, merged) for merged in await self._merged_ids(user_id))


def _valid(event: LogEvent, token: Token) -> LogEvent:
    mark = NO_MARK if event.item_id is None else token.mark_of(event.item_id) or NO_MARK
    return replace(
        event,
        attribution=VALID,
        placement=token.placement,
        model_version=token.model_version,
        experiments=token.experiments,
        team=mark.team,
        propensity=mark.propensity,
    )
