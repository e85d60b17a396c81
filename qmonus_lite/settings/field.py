"""Declaration of a setting as a dataclass field, and the table row that is made of it."""

import dataclasses
import typing
from collections.abc import Callable
from dataclasses import dataclass, field

from qmonus_lite.environment import PREFIX
from qmonus_lite.settings.secret import Secret

_T = typing.TypeVar("_T")
_KEY = "setting"


@dataclass(frozen=True, kw_only=True)
class _Declaration:
    help: str
    example: str
    reader: Callable[[str], object]
    is_secret: bool = False
    other_source: str = ""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A row of the table of settings."""

    name: str
    #: Name of the group that the setting belongs to.
    group: str
    default: object
    #: Meaning, for --help and the reference page.
    help: str
    #: A valid argument; empty for a secret.
    example: str
    #: Parser of the text; raises ValueError with the reason.
    reader: Callable[[str], object]
    #: Whether the value is secret: accepted from the environment only, and never printed.
    is_secret: bool
    #: Where a secret is read from when the environment has none.
    other_source: str

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return PREFIX + self.name.upper()


def flag(default: _T, help_: str, *, example: str, reader: Callable[[str], _T]) -> _T:
    """A setting that may be a flag, an environment variable or a key of the settings file."""
    declaration = _Declaration(help=help_, example=example, reader=reader)
    return field(default=default, metadata={_KEY: declaration})


def secret(help_: str, *, other_source: str) -> Secret | None:
    """A setting that is read from the environment only, or None if it is not set there.

    Command lines are visible to every user of the machine, and settings files are readable by more
    users than a secret should be.
    """
    declaration = _Declaration(
        help=help_, example="", reader=Secret.parse, is_secret=True, other_source=other_source
    )
    return field(default=None, repr=False, metadata={_KEY: declaration})


def settings_of(group: str, kind: type) -> tuple[Setting, ...]:
    """The rows of a group; raises TypeError for a field that is not declared as it has to be."""
    hints = typing.get_type_hints(kind)
    return tuple(
        _setting(group, entry, holds_secret=_mentions(hints[entry.name], Secret))
        for entry in dataclasses.fields(kind)
    )


def _setting(group: str, entry: "dataclasses.Field[object]", *, holds_secret: bool) -> Setting:
    declaration = entry.metadata.get(_KEY)
    if not isinstance(declaration, _Declaration):
        raise TypeError(f"{group}.{entry.name}: declare it with flag() or secret()")
    if holds_secret and not declaration.is_secret:
        raise TypeError(f"{group}.{entry.name}: holds a Secret; declare it with secret()")
    return Setting(
        name=entry.name,
        group=group,
        default=entry.default,
        help=declaration.help,
        example=declaration.example,
        reader=declaration.reader,
        is_secret=declaration.is_secret,
        other_source=declaration.other_source,
    )


def _mentions(hint: object, kind: type) -> bool:
    return hint is kind or any(_mentions(part, kind) for part in typing.get_args(hint))
