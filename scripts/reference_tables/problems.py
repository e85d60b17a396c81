"""Tables of problem codes, their remedies, and the rules that refuse requests."""

from collections.abc import Sequence

from qmonus_lite import errors
from qmonus_lite.apigw.upload_rules import ALL_RULES
from reference_tables.markdown import summary, table


def problems() -> str:
    """Every code of a problem, with its status."""
    return table(
        ("code", "status", "when"),
        (
            (f"[`{error.code}`](#{error.code})", _status(error), summary(error))
            for error in errors.PROBLEMS
        ),
    )


def remedies() -> str:
    """A section for every code of a problem: what `type` leads to."""
    return "\n\n".join(
        f"### {error.code}\n\nStatus: {_status(error)} (`{error.__name__}`). {summary(error)}.\n\n"
        f"What to do: {error.remedy}."
        for error in errors.PROBLEMS
    )


def refusals() -> str:
    """Every rule that requests have to pass, in order."""
    return table(
        ("stage", "rule", "refuses", "status and code"),
        (
            (
                rule.stage.value,
                rule.name,
                rule.refuses,
                ", ".join(f"{int(problem.status)} {codes([problem])}" for problem in rule.problems)
                or "as given",
            )
            for rule in ALL_RULES
        ),
    )


def codes(problems: Sequence[type[errors.Problem]]) -> str:
    """Links to the sections of problem codes, in the order of their status."""
    ordered = sorted(problems, key=lambda problem: problem.status)
    return ", ".join(f"[{problem.code}](problems.md#{problem.code})" for problem in ordered)


def _status(error: type[errors.Problem]) -> str:
    if error in {errors.Problem, errors.RefusedByScript}:
        return "any"
    return str(int(error.status))
