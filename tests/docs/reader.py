"""A reader who follows a page: in a checkout of its own, on ports of its own, by a real shell."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.acceptance.process import TOP, Running, environment, free_port, until
from tests.acceptance.servers import RCLONE
from tests.docs.page import Step, matches

#: Ports that pages name.
PORTS = ("9099", "9100", "9333", "9444")
#: The seconds that pages wait are enough on a machine with nothing else to do; tests run beside
#: others.
PATIENT = """sleep() {
    case $1 in *.*) command sleep "$1" ;; *) command sleep $(($1 * 3)) ;; esac
}
"""
#: Stands between what two commands print.
_END = "--- end of a step, status"

#: What a page needs that changes the code itself.
SOURCES = ("qmonus_lite", "tests/unit/cli")
FILES = (
    "setup.cfg",
    *(f"tests/{name}.py" for name in ("__init__", "certificate", "conftest", "distribution")),
    "tests/unit/__init__.py",
)

# The checks are run by CI on all of the code; here they would take most of the time.
PROGRAMS = {
    "scripts/setup": "exit 0",
    "scripts/check": "exit 0",
    "scripts/test": f'exec "{sys.executable}" -m pytest -p no:cacheprovider "$@"',
    "scripts/run": f'exec "{sys.executable}" -m qmonus_lite up "$@"',
    ".venv/bin/qmonus-lite": f'exec "{sys.executable}" -m qmonus_lite "$@"',
    ".venv/bin/rclone": f'exec "{RCLONE}" "$@"',
}


class Reader:
    """Types the steps of a page and looks at what is printed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {port: str(free_port()) for port in PORTS}
        self._checkout = folder / "checkout"
        self._make_checkout()
        self._environ = environment(folder) | {
            "QMONUS_LITE_PORT": self._ports["9099"],
            "QMONUS_LITE_LAMBDA_PORT": self._ports["9100"],
        }
        # At a terminal curl shows no progress beside an answer; here it has none.
        (folder / ".curlrc").write_text("silent\nshow-error\nnoproxy = *\n")
        self._servers: list[Running] = []
        self._said = (folder / "shell.err").open("wb")
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=self._checkout,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        assert self._shell.stdin
        self._shell.stdin.write(PATIENT)

    def follow(self, step: Step) -> None:
        """Do one step; fails when something else is printed than the page says."""
        if step.kind == "run":
            self._run(step)
        elif step.kind == "serve":
            self._serve(step)
        else:
            _end(self._servers[int(step.text) - 1])

    def end(self) -> None:
        """Close every terminal."""
        self._shell.kill()
        self._shell.wait()
        self._said.close()
        for pipe in (self._shell.stdin, self._shell.stdout):
            if pipe:
                pipe.close()
        for server in self._servers:
            _end(server)

    def _make_checkout(self) -> None:
        for part in ("plugins", "docs/examples"):
            shutil.copytree(
                TOP / part, self._checkout / part, ignore=shutil.ignore_patterns("accounts")
            )
        for plugin in self._checkout.rglob("*.yml"):
            plugin.write_text(self._here(plugin.read_text()))
        for name, text in PROGRAMS.items():
            program = self._checkout / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)

    def clone(self) -> None:
        """Put the code and some of its tests into the checkout, as a repository of git."""
        for part in SOURCES:
            shutil.copytree(
                TOP / part, self._checkout / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        for file in FILES:
            shutil.copyfile(TOP / file, self._checkout / file)
        git = ["git", "-c", "init.defaultBranch=main"]
        (self._folder / ".gitconfig").write_text(
            "[user]\nname = reader\nemail = reader@localhost\n"
        )
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
            subprocess.run([*git, *words], cwd=self._checkout, env=self._environ, check=True)

    def _here(self, text: str) -> str:
        """The text with ports and temporary files of our own."""
        text = re.sub(r"(?<![\w.])/tmp/", f"{self._folder}/", text)
        return re.sub("|".join(PORTS), lambda found: self._ports[found[0]], text)

    def _run(self, step: Step) -> None:
        assert self._shell.stdin and self._shell.stdout
        text = self._here(step.text).rstrip("\n")
        self._shell.stdin.write(f"{text}\nprintf '\\n%s %d\\n' '{_END}' $?\n")
        self._shell.stdin.flush()
        printed = []
        while not (line := self._shell.stdout.readline()).startswith(_END):
            assert line, "the shell ended"
            printed.append(line)
        said = "".join(printed)
        assert line.split()[-1] == "0", self._report(step, said)
        if step.expected is not None:
            expected = self._here(step.expected)
            assert matches(expected, said, whole=True), self._report(step, said)

    def _serve(self, step: Step) -> None:
        server = Running(
            ["bash", "-c", self._here(step.text)],
            cwd=self._checkout,
            environ=self._environ,
            output=self._folder / f"server-{len(self._servers) + 1}",
        )
        self._servers.append(server)
        expected = self._here(step.expected or "")

        def came_up() -> bool:
            return any(
                matches(expected, said, whole=False) for said in (server.stdout, server.stderr)
            )

        until(
            lambda: came_up() or server.ended,
            report=lambda: self._report(step, server.stdout + server.stderr),
        )
        assert came_up(), self._report(step, server.stdout + server.stderr)

    def _report(self, step: Step, said: str) -> str:
        errors = (self._folder / "shell.err").read_text()
        logs = "".join(server.stderr for server in self._servers)
        return f"line {step.line}: {step.text}\nprinted:\n{said}\n{errors}\n{logs}"


def _end(server: Running) -> None:
    """Ctrl-C at the terminal of a server: for everybody there, and until all are gone."""

    def gone() -> bool:
        try:
            os.killpg(server.pid, 0)
        except ProcessLookupError:
            return True
        return False

    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGINT)
    with suppress(AssertionError):
        until(lambda: server.ended and gone())
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.end()
