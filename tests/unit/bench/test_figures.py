"""How figures of the bench are told and held against their targets."""

import pytest

from tests.bench.figures import (
    Figure,
    Row,
    Target,
    amount,
    compared,
    percentile,
    without_omission,
)


def figure(value: float, target: Target | None) -> Figure:
    return Figure(name="wall", value=value, unit="×", target=target)


@pytest.mark.parametrize(
    ("value", "target", "verdict"),
    [
        (1.1, Target(limit=1.1), "reached"),
        (1.31, Target(limit=1.1), "not reached: 1.31 × of 1.10 ×"),
        (1.101, Target(limit=1.1), "not reached: 1.101 × of 1.10 ×"),
        (3.0, Target(limit=3, at_least=True), "reached"),
        (0.41, Target(limit=3, at_least=True), "not reached: 0.41 × of 3.00 ×"),
        (5.0, None, "–"),
    ],
)
def test_tells_whether_a_target_was_reached(
    value: float, target: Target | None, verdict: str
) -> None:
    assert figure(value, target).verdict == verdict


def test_tells_which_way_a_target_points() -> None:
    assert figure(1, Target(limit=2)).wanted == "at most 2.00 ×"
    assert figure(1, Target(limit=1000, at_least=True)).wanted == "at least 1,000 ×"


@pytest.mark.parametrize(
    ("value", "said"), [(1.234, "1.23 s"), (12.34, "12.3 s"), (1234, "1,234 s")]
)
def test_gives_only_digits_that_mean_something(value: float, said: str) -> None:
    assert amount(value, "s") == said


def test_holds_the_target_against_the_median_of_pairs() -> None:
    # The machine became slower from pair to pair, which the medians of the sides do not know.
    ours, theirs = [2.0, 3.0, 10.0], [1.0, 3.0, 4.0]

    by_pairs, by_medians = compared("wall", "nginx", ours, theirs, Target(limit=1.5))

    assert (by_pairs.value, by_pairs.verdict) == (2.0, "not reached: 2.00 × of 1.50 ×")
    assert (by_medians.value, by_medians.target) == (1.0, None)


def test_pairs_of_different_length_are_a_fault() -> None:
    with pytest.raises(ValueError, match="longer"):
        compared("wall", "nginx", [1.0], [1.0, 2.0], None)


def test_finds_the_percentile_of_few_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 3.0


def test_adds_the_questions_that_a_slow_answer_kept_back() -> None:
    waits = without_omission([0.002, 0.035], 0.01)

    assert waits == pytest.approx([0.002, 0.035, 0.025, 0.015, 0.005])


def test_a_row_outlives_being_stored() -> None:
    row = Row(
        key="tmpfs", title="x", rounds=7, figures=(figure(1, Target(limit=2)), figure(2, None))
    )

    assert Row.from_json(row.as_json()) == row
