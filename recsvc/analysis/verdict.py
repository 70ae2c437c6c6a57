"""The verdict on a treatment, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from recsvc.analysis.effects import LEAST_USERS, Effect
from recsvc.analysis.guardrails import GuardrailResult
from recsvc.analysis.report import MetricResult, Need, Verdict, VerdictKind
from recsvc.analysis.srm import SampleRatio


def verdict(
    variant: str,
    ratio: SampleRatio,
    primary: MetricResult,
    guardrails: Sequence[GuardrailResult],
    need: Need | None,
    expected: str | None = None,
) -> Verdict:
    """What may be said: the always valid interval of the primary metric decides, where the arms are comparable.

    `expected` is the day from which the first outcome windows are over, where that is to come.
    """
    if ratio.mismatch:
        return Verdict("mismatch", (_mismatch(ratio),))
    if primary.effect is None:
        early = (
            f"Too early to say anything of {variant}: {primary.name} needs at least {LEAST_USERS} users of each "
            "arm whose outcome window is over, and events that differ between users."
        )
        first = () if expected is None else (f"The first windows are over on {expected}.",)
        return Verdict("too_early", (early, *first))
    kind, sentences = _of_primary(variant, primary, primary.effect, need)
    broken = [result.metric for result in guardrails if result.state == "broken"]
    if broken:
        return Verdict("harmful", (*sentences, f"More was lost than agreed on {_list(broken)}. Do not ship it."))
    if kind != "better":
        return Verdict(kind, tuple(sentences))
    unproven = [result.metric for result in guardrails if result.state == "open"]
    if unproven:
        waiting = f"It is not yet shown that {_list(unproven)} held. Wait before shipping it."
        return Verdict("unproven", (*sentences, waiting))
    held = (
        f"The guardrails held: {_list([g.metric for g in guardrails])}." if guardrails else "There are no guardrails."
    )
    return Verdict("better", (*sentences, held))


def _of_primary(variant: str, primary: MetricResult, found: Effect, need: Need | None) -> tuple[VerdictKind, list[str]]:
    low, high = found.difference.always
    if low <= 0 <= high:
        return "undecided", _undecided(variant, primary, found, need)
    if (low > 0) == primary.more_is_better:
        return "better", [f"{variant} is better on {primary.name}: {_range(found)}."]
    return "worse", [f"{variant} is worse on {primary.name}: {_range(found)}.", "Keep the control."]


def _undecided(variant: str, primary: MetricResult, found: Effect, need: Need | None) -> list[str]:
    sentences = [f"No difference between {variant} and the control is shown on {primary.name}: {_range(found)}."]
    low, high = found.difference.fixed
    if low > 0 or high < 0:
        sentences.append(
            "The interval for a single look excludes 0, but it has been looked at more often than once, or may be: "
            "that is no win."
        )
    if need is not None and need.more_users > 0:
        days = "" if need.more_days is None else f", about {need.more_days:.0f} days at the pace of the last week"
        sentences.append(
            f"To see a change of {need.size.effect:.1%} it takes about {need.more_users:,} more users of both arms"
            f"{days}."
        )
    elif need is not None:
        sentences.append(
            f"There are users enough to have seen a change of {need.size.effect:.1%}, in four of five experiments."
        )
    return sentences


def _mismatch(ratio: SampleRatio) -> str:
    arms = ", ".join(
        f"{name} {users:,} (expected {ratio.expected[name]:,.0f})" for name, users in ratio.observed.items()
    )
    return (
        f"Do not read the effects: the arms do not have the sizes that their weights say ({arms}; p = "
        f"{ratio.p_value:.1e}). Users of one arm are lost or doubled somewhere: look for crashes, time-outs, "
        "redirects and bots."
    )


def _range(found: Effect) -> str:
    shown, unit = (found.relative, "%") if found.relative is not None else (found.difference, "")
    low, high = (_signed(end, unit) for end in shown.always)
    return f"{_signed(shown.value, unit)} (always valid: {low} to {high})"


def _signed(value: float, unit: str) -> str:
    return f"{100 * value:+.2f} %" if unit else f"{value:+.4g}"


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
