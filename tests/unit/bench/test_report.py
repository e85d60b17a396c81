"""The table of the bench as text, as JSON, and as a page."""

from dataclasses import replace
from pathlib import Path

from tests.bench.__main__ import PAGE, STORED
from tests.bench.figures import Figure, Row, Target
from tests.bench.report import Origin, Report, lines, page, read, store, verdicts
from tests.bench.rows import ROWS

ORIGIN = Origin(date="2026-11-22", commit="abc1234", command="scripts/bench", disk="ext4")
ROW = Row(
    key="tmpfs",
    title="one upload",
    rounds=7,
    figures=(
        Figure(
            name="wall, ours / nginx",
            value=1.2,
            unit="×",
            target=Target(limit=1.1),
            low=1.15,
            high=1.31,
        ),
        Figure(name="wall, ours", value=1.5, unit="s"),
    ),
    notes=("A note.",),
)
BARE = "Before.\n<!-- measured -->\nold\n<!-- end -->\nAfter.\n"


def report(*rows: Row, cores: str = "2") -> Report:
    return Report(
        machine={"cores": cores},
        versions={"nginx": "1.22.1"},
        rows={row.key: row for row in rows},
        origins={row.key: ORIGIN for row in rows},
    )


def test_prints_a_row_with_its_verdict() -> None:
    assert lines(ROW) == [
        "tmpfs: one upload (rounds: 7)",
        "  wall, ours / nginx        1.20 ×  1.15–1.31      at most 1.10 ×:"
        " not reached: 1.20 × of 1.10 ×",
        "  wall, ours                1.50 s",
        "  A note.",
    ]


def test_sums_up_what_has_a_target() -> None:
    lost = Row(key="disk", title="another", missing="no disk")

    assert verdicts(report(ROW, lost)) == [
        "targets:",
        "  tmpfs      wall, ours / nginx: at most 1.10 ×: not reached: 1.20 × of 1.10 ×",
        "  disk       not measured",
    ]


def test_says_why_a_row_was_not_measured() -> None:
    row = Row(key="tmpfs", title="one upload", missing="nginx is not installed")

    assert lines(row) == ["tmpfs: one upload", "  not measured: nginx is not installed"]
    assert "Not measured: nginx is not installed." in page(BARE, report(row), ["tmpfs"])


def test_what_was_stored_is_read_again(tmp_path: Path) -> None:
    store(report(ROW), tmp_path / "report.json")

    assert read(tmp_path / "report.json") == report(ROW)
    assert read(tmp_path / "none.json") is None


def test_makes_the_page_around_its_prose() -> None:
    made = page(BARE, report(ROW), ["tmpfs", "disk"])

    assert made.startswith("Before.\n<!-- measured -->\n") and made.endswith(
        "<!-- end -->\nAfter.\n"
    )
    assert (
        "| one upload | wall, ours / nginx | at most 1.10 × | 1.20 ×"
        " | **not reached: 1.20 × of 1.10 ×** |"
    ) in made
    assert "Not measured yet: `disk`." in made
    assert page(made, report(ROW), ["tmpfs", "disk"]) == made


def test_keeps_older_rows_of_the_same_machine() -> None:
    old = report(ROW, replace(ROW, key="disk"))
    new = report(replace(ROW, rounds=9))

    both = new.after(old)

    assert {key: row.rounds for key, row in both.rows.items()} == {"tmpfs": 9, "disk": 7}


def test_drops_older_rows_of_another_machine() -> None:
    new = report(ROW)

    assert new.after(report(replace(ROW, key="disk"), cores="64")) == new


def test_the_page_is_made_from_what_is_stored() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert page(text, read(STORED), [*ROWS]) == text
