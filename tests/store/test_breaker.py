from __future__ import annotations

from recsvc.store.breaker import Breaker, BreakerState


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock) -> Breaker:
    return Breaker(clock, failures_to_open=3, first_delay_seconds=1.0, longest_delay_seconds=4.0)


def fail(breaker: Breaker) -> None:
    permit = breaker.permit()
    assert permit is not None
    breaker.failed(permit)


def opened(clock: Clock) -> Breaker:
    breaker = make(clock)
    for _ in range(3):
        fail(breaker)
    return breaker


class TestClosed:
    def test_consecutive_failures_open_it_and_calls_are_refused(self) -> None:
        breaker = make(Clock())
        fail(breaker)
        fail(breaker)
        assert breaker.state is BreakerState.CLOSED
        fail(breaker)
        assert breaker.state is BreakerState.OPEN
        assert breaker.permit() is None

    def test_a_success_between_failures_starts_the_count_again(self) -> None:
        breaker = make(Clock())
        for _ in range(5):
            fail(breaker)
            fail(breaker)
            permit = breaker.permit()
            assert permit is not None
            breaker.succeeded(permit)
        assert breaker.state is BreakerState.CLOSED

    def test_an_abandoned_call_counts_neither_way(self) -> None:
        breaker = make(Clock())
        fail(breaker)
        fail(breaker)
        permit = breaker.permit()
        assert permit is not None
        breaker.abandoned(permit)
        fail(breaker)
        assert breaker.state is BreakerState.OPEN


class TestRecovery:
    def test_after_the_delay_exactly_one_caller_probes(self) -> None:
        clock = Clock()
        breaker = opened(clock)
        clock.now += 0.999
        assert breaker.permit() is None
        clock.now += 0.001
        assert breaker.permit() is not None
        assert breaker.state is BreakerState.HALF_OPEN
        assert breaker.permit() is None

    def test_a_probe_that_succeeds_closes_it(self) -> None:
        clock = Clock()
        breaker = opened(clock)
        clock.now += 1
        probe = breaker.permit()
        assert probe is not None
        breaker.succeeded(probe)
        assert breaker.state is BreakerState.CLOSED
        assert breaker.permit() is not None

    def test_the_delay_doubles_with_each_failed_probe_up_to_the_longest(self) -> None:
        clock = Clock()
        breaker = opened(clock)
        for delay in (1.0, 2.0, 4.0, 4.0):
            clock.now += delay - 0.01
            assert breaker.permit() is None
            clock.now += 0.01
            fail(breaker)

    def test_the_delay_is_short_again_after_a_recovery(self) -> None:
        clock = Clock()
        breaker = opened(clock)
        clock.now += 1
        fail(breaker)
        clock.now += 2
        probe = breaker.permit()
        assert probe is not None
        breaker.succeeded(probe)
        for _ in range(3):
            fail(breaker)
        clock.now += 1
        assert breaker.permit() is not None

    def test_a_probe_that_was_abandoned_lets_the_next_caller_probe_at_once(self) -> None:
        clock = Clock()
        breaker = opened(clock)
        clock.now += 1
        probe = breaker.permit()
        assert probe is not None
        breaker.abandoned(probe)
        assert breaker.permit() is not None


class TestLateOutcomes:
    def test_a_success_from_before_it_opened_does_not_close_it(self) -> None:
        breaker = make(Clock())
        early = breaker.permit()
        assert early is not None
        for _ in range(3):
            fail(breaker)
        breaker.succeeded(early)
        assert breaker.state is BreakerState.OPEN

    def test_a_failure_from_before_it_opened_does_not_end_the_probe(self) -> None:
        clock = Clock()
        breaker = make(clock)
        early = breaker.permit()
        assert early is not None
        for _ in range(3):
            fail(breaker)
        clock.now += 1
        probe = breaker.permit()
        assert probe is not None
        breaker.failed(early)
        assert breaker.state is BreakerState.HALF_OPEN
        breaker.succeeded(probe)
        assert breaker.state is BreakerState.CLOSED
