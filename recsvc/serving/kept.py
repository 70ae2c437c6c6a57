"""Answers kept as bytes: what a user is shown, ready to be sent again while nothing that it depends on has changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from recsvc.serving.answer import Answer
from recsvc.serving.cache import CandidateCache, Found
from recsvc.serving.degraded import Degraded
from recsvc.serving.experimenting import Part
from recsvc.serving.served import ServedModel
from recsvc.tokens import Stamp

_LONGEST_TARGET: Final = 512
"""Requests with more in their line are not worth the memory."""
_OVERHEAD_BYTES: Final = 1_500
"""What an answer takes beside its bytes: the objects, and the list that it was cut from."""


@dataclass(slots=True)
class KeptAnswer:
    """The bytes before and after the token of an answer, for the user at that sequence number.

    It holds while `seen` is what the model's view and the erasures have, and before `until` (Unix seconds). `rows` are
    the items that it names.
    """

    user_id: str
    sequence: int
    stamp: Stamp
    model: ServedModel
    before_token: bytes
    after_token: bytes
    degraded: tuple[Degraded, ...]
    found: Found
    part: Part
    rows: tuple[int, ...]
    seen: tuple[int, int]
    until: float


class KeptAnswers:
    """The answers of this process, by the bytes of the request's path and query; the longest unused go first.

    A list in Redis spares the computation, an answer here the rest: reading, decoding, cutting and rendering. What is
    still asked of Redis for each request is the user's sequence number. For use from one event loop.
    """

    def __init__(
        self,
        cache: CandidateCache,
        epoch: Callable[[], object],
        *,
        max_bytes: int,
        life_seconds: float,
    ) -> None:
        """`epoch` gives what every answer depends on, the active model above all: when it is not equal to the one
        before, nothing is kept. An answer lives for `life_seconds` from when its list was computed."""
        self._cache = cache
        self._epoch = epoch
        self._max_bytes = max_bytes
        self._life_seconds = life_seconds
        self._at_epoch: object = None
        self._bytes = 0
        self._answers: OrderedDict[bytes, KeptAnswer] = OrderedDict()

    def get(self, target: bytes, now: float) -> KeptAnswer | None:
        """The answer to this path and query, if it holds at `now` (Unix seconds) but for the sequence number."""
        kept = self._answers.get(target)
        if kept is None:
            return None
        if self._epoch() != self._at_epoch:
            self._forget_all()
            return None
        if kept.model.view.behind:
            return None  # whoever answers takes the changes in
        if now >= kept.until or (kept.seen != kept.model.seen and not self._still_good(kept, now)):
            self._forget(target)
            return None
        self._answers.move_to_end(target)
        return kept

    def epoch(self) -> object:
        """What an answer that is begun now depends on, for `keep`."""
        return self._epoch()

    def keep(
        self, target: bytes, answer: Answer, before_token: bytes, after_token: bytes, now: float, *, epoch: object
    ) -> None:
        """Keeps an answer that was begun in that epoch, where it is still the present one and the answer depends on
        nothing but what is looked at here."""
        found = answer.found
        if found is None or found.sequence is None or not found.cached or answer.user_id is None:
            return
        if not answer.part.lasting or answer.part.sequence not in (None, found.sequence):
            return
        if len(target) > _LONGEST_TARGET or not self._max_bytes:
            return
        if epoch != self._epoch():
            return  # made by what was replaced meanwhile
        if epoch != self._at_epoch:
            self._forget_all()
            self._at_epoch = epoch
        self._forget(target)
        rows = answer.named_rows
        kept = KeptAnswer(
            user_id=answer.user_id,
            sequence=found.sequence,
            stamp=answer.stamp,
            model=answer.model,
            before_token=before_token,
            after_token=after_token,
            degraded=tuple(answer.degraded),
            found=found,
            part=answer.part,
            rows=rows,
            seen=answer.seen,
            until=self._until(answer.model, found, rows, now),
        )
        if now >= kept.until:
            return
        self._answers[target] = kept
        self._bytes += _size(target, kept)
        while self._bytes > self._max_bytes:
            oldest, dropped = self._answers.popitem(last=False)
            self._bytes -= _size(oldest, dropped)

    def _still_good(self, kept: KeptAnswer, now: float) -> bool:
        """Whether what changed of the catalogue, or who was erased, leaves the answer as it is."""
        if kept.found.shared or kept.model.view.not_shown(kept.rows, now):
            return False
        if not self._cache.is_good(kept.found.candidates, kept.user_id, kept.model, now):
            return False
        kept.seen = kept.model.seen
        kept.until = self._until(kept.model, kept.found, kept.rows, now)
        return True

    def _until(self, model: ServedModel, found: Found, rows: tuple[int, ...], now: float) -> float:
        until = min(found.until, model.view.shown_until(rows), model.view.next_publication(now))
        computed_at = found.candidates.computed_at
        if computed_at is None:
            return min(until, now + self._life_seconds)
        return min(until, computed_at + self._life_seconds, self._cache.good_until(found.candidates, model, now))

    def _forget(self, target: bytes) -> None:
        dropped = self._answers.pop(target, None)
        if dropped is not None:
            self._bytes -= _size(target, dropped)

    def _forget_all(self) -> None:
        self._answers.clear()
        self._bytes = 0


def _size(target: bytes, kept: KeptAnswer) -> int:
    return len(target) + len(kept.before_token) + len(kept.after_token) + _OVERHEAD_BYTES
