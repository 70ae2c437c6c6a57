"""Guardrails: is a metric shown not to have got worse by more than what was agreed?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recsvc.analysis.definition import Guardrail
from recsvc.analysis.effects import Effect
from recsvc.analysis.metrics import METRICS

State = Literal["held", "broken", "open"]


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """`held`: it is shown that the loss is below the margin. `broken`: that it is above it. `open`: neither is shown.

    `loss` the always valid interval of how much worse the metric got, as a share of the control's mean; None where that
    cannot be said (nothing was counted, or too few users). `worse`: a loss of whatever size is shown.
    """

    metric: str
    margin: float
    state: State
    loss: tuple[float, float] | None
    worse: bool


def check(guardrail: Guardrail, effect: Effect | None) -> GuardrailResult:
    """The state of a guardrail, a test of non-inferiority by the always valid interval: it may be looked at daily."""
    if effect is None or effect.relative is None:
        return GuardrailResult(guardrail.metric, guardrail.margin, "open", None, worse=False)
    low, high = effect.relative.always
    loss = (-high, -low) if METRICS[guardrail.metric].more_is_better else (low, high)
    state: State = "held" if loss[1] < guardrail.margin else "broken" if loss[0] > guardrail.margin else "open"
    return GuardrailResult(guardrail.metric, guardrail.margin, state, loss, worse=loss[0] > 0)
