"""The base class of all exceptions, and those of a process or command that cannot start."""

from collections.abc import Sequence

from qmonus_lite.values import Value


class QmonusLiteError(Exception):
    """Base class of every exception that this package raises deliberately."""


class StartupError(QmonusLiteError):
    """A process or command cannot start; the message has the cause, the place and the remedy."""


class BadSetting(StartupError):
    """A flag, environment variable or configuration key is unknown or unusable."""


class BadResource(StartupError):
    """A directory, file, key or port cannot be used."""


class Fault(Value, frozen=True, order=True):
    """An error in a plugin file."""

    #: Path of the plugin file, usable from the current directory.
    file: str
    #: Line, from 1.
    line: int
    #: Column, from 1.
    column: int
    #: What is wrong, and what was expected.
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class BadPlugins(StartupError):
    """Plugin files have errors; `faults` lists all of them, ordered by file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))
