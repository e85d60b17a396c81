"""All problems in one tuple, and the problem for a bare HTTP status."""

from qmonus_lite.errors.causes import RefusedByScript
from qmonus_lite.errors.problem import Problem


def _with_subclasses(kind: type[Problem]) -> list[type[Problem]]:
    below = [_with_subclasses(subclass) for subclass in kind.__subclasses__()]
    return [kind, *(found for classes in below for found in classes)]


#: Every class of problem, by status and code; `Problem` itself is for any other status.
PROBLEMS: tuple[type[Problem], ...] = tuple(
    sorted(_with_subclasses(Problem), key=lambda kind: (kind.status, kind.code))
)
_CODES = {
    kind.status: kind.code for kind in Problem.__subclasses__() if kind is not RefusedByScript
}


def problem_by_status(status: int, detail: str) -> Problem:
    """The problem for a status that the HTTP library chose."""
    found = Problem(detail)
    found.status = status
    found.code = _CODES.get(status, Problem.code)
    return found
