"""Definition of a command: a function from arguments to an exit status, and its --help texts."""

from collections.abc import Callable, Mapping

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.errors import BadSetting
from qmonus_lite.values import Value, field

#: Settings of all commands that use plugin folders or keys.
DIRECTORY_FLAGS = ("base_dir", "data_dir", "plugins_base_dirs")


class Command(Value, frozen=True, kw_only=True):
    """A command of the command line."""

    run: Callable[[Arguments], int]
    summary: str
    #: Arguments after the command's name, for --help.
    usage: str = "[--name=value ...]"
    #: Settings that are accepted as flags; None means all.
    flags: tuple[str, ...] | None = DIRECTORY_FLAGS
    #: Whether it is a server, which runs with the rights that it was started with.
    serves: bool = False
    #: Flags that are not settings: syntax -> description.
    own_flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def own_names(self) -> frozenset[str]:
        """Names of the flags that are not settings."""
        return frozenset(flag.removeprefix("--").partition("=")[0] for flag in self.own_flags)


def no_positionals(arguments: Arguments) -> None:
    """Raise BadSetting if the arguments contain positional arguments."""
    if arguments.positionals:
        raise BadSetting(f"unexpected {arguments.positionals[0]!r}; flags look like --name=value")
