"""strace: the system calls of a process and all its threads, in the order of the kernel."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_WHOLE = re.compile(r"(?P<task>\d+) +(?P<name>\w+)\((?P<rest>.*)\) += (?P<result>.+)")
_BEGUN = re.compile(r"(?P<task>\d+) +(?P<name>\w+)\((?P<rest>.*) <unfinished \.\.\.>")
_ENDED = re.compile(r"(?P<task>\d+) +<\.\.\. (?P<name>\w+) resumed>.*\) += (?P<result>.+)")
#: A descriptor as `-y` shows it: its number and what it is open on.
_OPEN_ON = re.compile(r"\d+<([^>]*)>")


@dataclass(kw_only=True)
class Call:
    """One system call."""

    name: str
    #: Its arguments, as far as strace shows them.
    text: str
    #: Numbers of the lines where it began and where it ended.
    began: int
    ended: int
    result: str = ""

    @property
    def path(self) -> str:
        """What its first argument, a descriptor, is open on; empty for another argument."""
        found = _OPEN_ON.match(self.text)
        return found[1] if found else ""


def traced(argv: Sequence[str], *, calls: Collection[str], output: Path) -> list[str]:
    """The command line that runs `argv` and writes what it calls to `output`."""
    wanted = f"trace={','.join(calls)}"
    return ["strace", "-f", "-y", "-s", "64", "-e", wanted, "-o", str(output), *argv]


class Trace:
    """The calls of a process that has ended."""

    def __init__(self, output: Path) -> None:
        self._calls = list(_read(output.read_text(errors="replace").split("\n")))

    def all(self, *names: str, path: Path | None = None, text: str = "") -> list[Call]:
        """Calls of one of these names, on this path, with this text, that went well."""
        return [
            call
            for call in self._calls
            if call.name in names
            and (path is None or call.path == str(path))
            and text in call.text
            and not call.result.startswith("-1")
        ]

    def first(self, *names: str, after: Call, path: Path | None = None, text: str = "") -> Call:
        """The first such call that began after another had ended."""
        later = [
            call for call in self.all(*names, path=path, text=text) if after.ended < call.began
        ]
        assert later, f"no {' or '.join(names)} of {path or text!r} after {after}"
        return later[0]


def _read(lines: Sequence[str]) -> Iterator[Call]:
    under_way: dict[str, Call] = {}
    for number, line in enumerate(lines):
        if found := _ENDED.match(line):
            call = under_way.pop(found["task"])
            call.ended, call.result = number, found["result"]
        elif found := _BEGUN.match(line):
            call = Call(name=found["name"], text=found["rest"], began=number, ended=len(lines))
            under_way[found["task"]] = call
            yield call
        elif found := _WHOLE.match(line):
            yield Call(
                name=found["name"],
                text=found["rest"],
                began=number,
                ended=number,
                result=found["result"],
            )
