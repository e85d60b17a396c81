"""What a command is: a function from arguments to an exit status, and its words for --help."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.errors import BadSetting

#: Settings that every command about plugin folders and keys takes.
PLACES = ("base_dir", "data_dir", "plugins_base_dirs")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of the command line."""

    run: Callable[[Arguments], int]
    summary: str
    #: What follows the command's name, for --help.
    usage: str = "[--name=value ...]"
    #: Settings that it takes; None means all.
    flags: tuple[str, ...] | None = PLACES
    #: Flags of its own: how one is typed, and what it means.
    own_flags: Mapping[str, str] = field(default_factory=dict)


def no_words(arguments: Arguments) -> None:
    """Raises BadSetting for words that this command has no use for."""
    if arguments.words:
        raise BadSetting(f"unexpected {arguments.words[0]!r}; flags look like --name=value")
