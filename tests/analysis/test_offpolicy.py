"""Off-policy estimates and interleaving, against truths that are known."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from recsvc.analysis.__main__ import REFUSED, main
from recsvc.analysis.errors import AnalysisRefused, SupportMissing
from recsvc.analysis.interleaving import preference
from recsvc.analysis.offpolicy import Logged, doubly_robust, effective_sample_size, estimate, ips, snips
from recsvc.analysis.open_bandit import check
from tests.analysis.logs import Log

CHANCES = np.array([[0.02, 0.05, 0.10, 0.20], [0.01, 0.02, 0.03, 0.04]])
"""Of a click, by slot and action."""
LOGGING = np.array([[0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
TARGET = np.array([[0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.1, 0.7]])


def logged(rng: np.random.Generator, rows: int, policy: np.ndarray = LOGGING) -> Logged:
    slot = rng.integers(2, size=rows)
    action = (rng.random(rows)[:, None] > policy[slot].cumsum(axis=1)).sum(axis=1)
    reward = (rng.random(rows) < CHANCES[slot, action]) * 1.0
    return Logged(reward, policy[slot, action], action, slot)


class TestFormulas:
    reward = np.array([1.0, 0.0, 2.0, 1.0])
    weight = np.array([0.5, 2.0, 1.0, 0.25])

    def test_ips(self) -> None:
        assert ips(self.reward, self.weight).value == (0.5 + 0 + 2 + 0.25) / 4

    def test_snips(self) -> None:
        assert snips(self.reward, self.weight).value == pytest.approx((0.5 + 0 + 2 + 0.25) / 3.75)

    def test_effective_sample_size(self) -> None:
        assert effective_sample_size(self.weight) == pytest.approx(3.75**2 / (0.25 + 4 + 1 + 0.0625))
        assert effective_sample_size(np.ones(7)) == 7

    def test_snips_of_a_constant_reward_is_that_constant(self) -> None:
        found = snips(np.full(4, 3.0), self.weight)
        assert found.interval == (3.0, 3.0)

    def test_a_policy_estimated_by_its_own_log_is_its_mean(self) -> None:
        log = logged(np.random.default_rng(1), 4_000)
        found = estimate(log, LOGGING)
        assert found.effective == len(log)
        assert found.values[0].value == pytest.approx(log.reward.mean())
        assert found.values[1].value == pytest.approx(log.reward.mean())


class TestCoverage:
    def test_every_estimate_holds_the_truth_as_often_as_it_says(self) -> None:
        truth = float((TARGET * CHANCES).sum(axis=1).mean())
        held = dict.fromkeys(("IPS", "SNIPS", "DR"), 0)
        for seed in range(200):
            for value in estimate(logged(np.random.default_rng([8, seed]), 3_000), TARGET).values:
                held[value.name] += value.interval[0] <= truth <= value.interval[1]
        assert all(stats.binomtest(count, 200, 0.95).pvalue > 0.01 for count in held.values()), held

    def test_a_model_makes_the_estimate_sharper(self) -> None:
        """Where the reward is nearly certain given the action, the weights' noise is what the model takes off."""
        rng = np.random.default_rng(2)
        log = logged(rng, 4_000)
        sure = Logged(log.action * 1.0, log.propensity, log.action, log.slot)
        weight = TARGET[sure.slot, sure.action] / sure.propensity
        wide, narrow = ips(sure.reward, weight).interval, doubly_robust(sure, TARGET, weight).interval
        assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])


class TestRefused:
    def test_a_deterministic_log(self) -> None:
        log = logged(np.random.default_rng(3), 500)
        unknown = log.propensity.copy()
        unknown[:20] = np.nan
        with pytest.raises(SupportMissing, match="20 of 500 rows have no propensity"):
            estimate(Logged(log.reward, unknown, log.action, log.slot), TARGET)

    def test_actions_never_tried(self) -> None:
        narrow = np.array([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
        with pytest.raises(SupportMissing, match=r"7[0-9]\.[0-9]% of the other policy's choices"):
            estimate(logged(np.random.default_rng(4), 5_000, narrow), TARGET)

    def test_a_handful_of_effective_rows(self) -> None:
        with pytest.raises(SupportMissing, match="100 are needed"):
            estimate(logged(np.random.default_rng(5), 120), TARGET)


class TestOpenBandit:
    def test_estimates_agree_with_what_the_policy_earned(self) -> None:
        folder = Path(os.environ.get("RECSVC_DATA_DIR") or "data") / "open-bandit"
        if not folder.is_dir():
            pytest.skip("needs the Open Bandit data (RECSVC_DATA_DIR)")
        checks = {(c.campaign, c.source): c for c in check(folder)}
        assert checks["women", "bts"].refused  # Thompson sampling hardly tries most items there
        for found in checks.values():
            if found.found is None:
                continue
            for value in found.found.values:
                errors = [(v.interval[1] - v.interval[0]) / 3.92 for v in (value, found.truth)]
                assert abs(value.value - found.truth.value) < 3 * np.hypot(*errors)

    def test_missing_data_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(AnalysisRefused, match="RECSVC_DATA_DIR"):
            check(tmp_path)


class TestOwnLog:
    """Impressions drawn evenly from two items, of which the second is viewed more often."""

    @pytest.fixture
    def state(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        rng = np.random.default_rng(6)
        log = Log(tmp_path)
        for number in range(600):
            item = int(rng.integers(2))
            of = {"recommendation_id": f"r{number}", "item_id": f"i{item}", "attribution": "valid"}
            log.add(f"u{number}", 0, "impression", propensity=0.5, **of)
            if rng.random() < (0.1, 0.5)[item]:
                log.add(f"u{number}", 0.1, "view", **of)
                log.add(f"u{number}", 0.2, "view", **of)  # twice is once
        log.add("u1", 0, "impression", recommendation_id="r", attribution="valid")  # not by chance
        log.flush()
        monkeypatch.setenv("RECSVC_STATE_DIR", str(tmp_path))
        return tmp_path

    def target(self, state: Path, chances: tuple[float, float], known: int = 600) -> str:
        rows = [f"r{n},i{item},{chances[item]}" for n in range(known) for item in (0, 1)]
        file = state / "target.csv"
        file.write_text("\n".join(["recommendation_id,item_id,probability", *rows]))
        return str(file)

    def test_a_policy_that_prefers_the_better_item(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["offpolicy", self.target(state, (0.1, 0.9))]) == 0
        out = capsys.readouterr().out
        assert "600 impressions with a propensity" in out
        low, high = (float(end) for end in out.splitlines()[-1].split("   ")[-1].split(" to "))
        assert low < 0.1 * 0.1 + 0.9 * 0.5 < high

    def test_choices_that_were_never_made(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["offpolicy", self.target(state, (0.2, 0.2))]) == REFUSED
        assert "60.0% of the other policy's choices were never made" in capsys.readouterr().err

    def test_impressions_without_a_probability(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["offpolicy", self.target(state, (0.5, 0.5), known=590)]) == REFUSED
        assert "of 600 logged impressions with a propensity 10 have no probability" in capsys.readouterr().err

    def test_another_file(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (state / "other.csv").write_text("a,b\n1,2\n")
        assert main(["offpolicy", str(state / "other.csv")]) == REFUSED
        assert "no table of recommendation_id, item_id and probability" in capsys.readouterr().err


class TestPreference:
    def test_users_are_the_unit(self) -> None:
        """One user's thousand clicks do not outweigh sixty users' one click each."""
        first = np.array([1000.0, *np.zeros(60)])
        second = np.array([0.0, *np.ones(60)])
        found = preference("A", "B", first, second)
        assert (found.first_wins, found.second_wins, found.ties) == (1, 60, 0)
        assert found.score == pytest.approx(59 / 61)
        assert found.sign_p_value == pytest.approx(stats.binomtest(60, 61).pvalue)

    def test_users_without_credit_say_nothing(self) -> None:
        found = preference("A", "B", np.array([1.0, 0, 2]), np.array([1.0, 0, 0]))
        assert (found.users, found.first_wins, found.second_wins, found.ties) == (2, 1, 0, 1)
        assert found.t_p_value is None  # two users are no test

    def test_no_preference_is_rejected_as_often_as_the_level_says(self) -> None:
        rejected = 0
        for seed in range(400):
            rng = np.random.default_rng([9, seed])
            found = preference("A", "B", rng.poisson(1, 200) * 1.0, rng.poisson(1, 200) * 1.0)
            assert found.t_p_value is not None
            rejected += found.t_p_value < 0.05
        assert stats.binomtest(rejected, 400, 0.05).pvalue > 0.01

    def test_equal_credit_everywhere_is_a_tie(self) -> None:
        found = preference("A", "B", np.ones(80), np.ones(80))
        assert (found.ties, found.score, found.interval) == (80, 0.0, None)
