"""The table of a run: on the terminal, as JSON, and as the page that is made from that."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, Row

#: What stands between these on the page is made; the prose around them is not.
_PART = re.compile(r"(<!-- measured -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """When, from what and how a row was measured."""

    date: str
    commit: str
    command: str
    disk: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Rows that can stand in one table: of one machine, against the same programs."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    rows: Mapping[str, Row] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def after(self, older: "Report | None") -> "Report":
        """This one, with the older rows that it does not have if they may stand beside."""
        if older is None or (older.machine, older.versions) != (self.machine, self.versions):
            return self
        return Report(
            machine=self.machine,
            versions=self.versions,
            rows={**older.rows, **self.rows},
            origins={**older.origins, **self.origins},
        )


def store(report: Report, file: Path) -> None:
    """Write a report."""
    rows = {
        key: {"row": row.as_json(), "origin": vars(report.origins[key])}
        for key, row in report.rows.items()
    }
    content = {"machine": report.machine, "versions": report.versions, "rows": rows}
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(file: Path) -> Report | None:
    """The report that was written, or None when there is none."""
    if not file.exists():
        return None
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    rows = content["rows"].items()
    return Report(
        machine=content["machine"],
        versions=content["versions"],
        rows={key: Row.from_json(stored["row"]) for key, stored in rows},
        origins={key: Origin(**stored["origin"]) for key, stored in rows},
    )


def lines(row: Row) -> list[str]:
    """A row for the terminal."""
    head = f"{row.key}: {row.title}" + (f" (rounds: {row.rounds})" if row.rounds else "")
    if row.missing:
        return [head, f"  not measured: {row.missing}"]
    width = max(len(figure.name) for figure in row.figures)
    found = [
        f"  {figure.name:{width}}  {figure.text:>12}  {figure.spread:13}"
        + (f"  {figure.wanted}: {figure.verdict}" if figure.target else "")
        for figure in row.figures
    ]
    return [head, *map(str.rstrip, found), *(f"  {note}" for note in row.notes)]


def verdicts(report: Report) -> list[str]:
    """All that has a target, for the terminal, at the end of a run of several rows."""
    held = [
        (key, figure) for key, row in report.rows.items() for figure in row.figures if figure.target
    ]
    found = [f"  {key:10} {figure.name}: {figure.wanted}: {figure.verdict}" for key, figure in held]
    lost = [f"  {key:10} not measured" for key, row in report.rows.items() if row.missing]
    return ["targets:", *found, *lost]


def page(text: str, report: Report | None, keys: Sequence[str]) -> str:
    """The page with its measured part anew."""
    made = "Nothing has been measured yet." if report is None else _measured(report, keys)
    return _PART.sub(lambda found: f"{found[1]}{made}\n{found[2]}", text)


def _measured(report: Report, keys: Sequence[str]) -> str:
    rows = [report.rows[key] for key in keys if key in report.rows]
    parts = [_targets(rows), *(_whole(row, report.origins[row.key]) for row in rows)]
    parts.append("### Machine and versions")
    parts.append(_table(("", ""), [*report.machine.items(), *report.versions.items()]))
    lacking = [f"`{key}`" for key in keys if key not in report.rows]
    if lacking:
        parts.append(f"Not measured yet: {', '.join(lacking)}.")
    return "\n\n".join(parts)


def _targets(rows: Iterable[Row]) -> str:
    held = [
        (row.title, figure.name, figure.wanted, figure.text, _verdict(figure))
        for row in rows
        for figure in row.figures
        if figure.target
    ]
    return _table(("work", "figure", "target", "measured", ""), held)


def _verdict(figure: Figure) -> str:
    return figure.verdict if figure.verdict == "reached" else f"**{figure.verdict}**"


def _whole(row: Row, origin: Origin) -> str:
    head = f"### {row.key}\n\n{row.title[0].upper()}{row.title[1:]}."
    when = f"{origin.date}, commit {origin.commit}, `{origin.command}`, disk: {origin.disk}"
    if row.missing:
        return f"{head}\n\nNot measured: {row.missing}. ({when})"
    figures = _table(
        ("figure", "measured", "from–to"),
        ((figure.name, figure.text, figure.spread) for figure in row.figures),
    )
    lines = [f"Rounds: {row.rounds}; {when}.", *row.notes]
    return "\n\n".join([head, figures, *lines])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells
    )
