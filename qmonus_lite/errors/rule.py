"""A rule that requests have to pass, as a value: ordered lists of them are applied and printed."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from qmonus_lite.errors.problem import Problem

S = TypeVar("S")


class Stage(enum.Enum):
    """When a rule is applied; a request passes the stages in this order."""

    HEAD = "head"
    AFTER_VERDICT = "after verdict"
    BODY = "during the body"
    SEAL = "at seal"


@dataclass(frozen=True, kw_only=True)
class Rule(Generic[S]):
    """A rule on a subject, such as the head of a request."""

    #: Unique over all lists, in kebab-case.
    name: str
    stage: Stage
    #: Raises one of `problems`.
    check: Callable[[S], None]
    problems: tuple[type[Problem], ...]
    #: What is refused, for the reference.
    refuses: str
