"""A rule that requests have to pass, as a value: ordered lists of them are applied and printed."""

import enum
from collections.abc import Callable
from typing import Generic, TypeVar

from qmonus_lite.errors.problem import Problem
from qmonus_lite.values import Value

S = TypeVar("S")


class Stage(enum.Enum):
    """When a rule is applied; a request passes the stages in this order."""

    HEAD = "head"
    AFTER_VERDICT = "after verdict"
    BODY = "during the body"
    SEAL = "at seal"


class RuleDescription(Value, frozen=True, kw_only=True):
    """A rule whose violation only shows in an operation: a read, a system call, an exchange.

    There is nothing to check beforehand, so the code of that operation raises one of `problems`;
    the description gives it a name, a stage and its line in the reference.
    """

    #: Unique over all lists, in kebab-case.
    name: str
    stage: Stage
    #: Empty if the refusal is a plugin's, and sent as given.
    problems: tuple[type[Problem], ...]
    #: What is refused, for the reference.
    refuses: str


class Rule(RuleDescription, Generic[S], frozen=True, kw_only=True):
    """A rule that is checked: its list is applied, in order, to a subject such as a head."""

    #: Raises one of `problems`.
    check: Callable[[S], None]
