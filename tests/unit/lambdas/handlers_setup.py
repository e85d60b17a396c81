"""Handlers for tests, and a way to publish events to them."""

from pathlib import Path
from typing import Any

from qmonus_lite.catalog.secret_values import SecretResolver
from qmonus_lite.events.envelope import Ids
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.lambdas.chain import Chain
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.scripting.script_threads import ScriptThreads
from tests.unit.catalog.plugin_folder import SEALER, Folder

DATA = {"path": "/upload/a", "headers": {"X-Auth-Token": "t"}, "seen": []}


class HandlersSetup:
    """Handlers, and a way to publish events to them."""

    def __init__(self, path: Path, script_threads: ScriptThreads) -> None:
        self._folder = Folder(path)
        self._script_threads = script_threads

    def handler(self, name: str, event: str, *lines: str, more: str = "") -> None:
        code = "".join(f"      {line}\n" for line in lines or ("pass",))
        self._folder.put(
            f"{name}.yml",
            f"name: {name}\nevent: {event}\nscript: |-\n"
            f"  async def run(event, handle):\n{code}{more}",
        )

    def put(self, name: str, text: str) -> None:
        self._folder.put(name, text)

    async def publish(
        self, name: str, data: dict[str, Any] | None = None, ids: Ids | None = None
    ) -> Outcome:
        chain = Chain(
            catalog=self._folder.load(),
            runner=Runner(script_threads=self._script_threads),
            secrets=SecretResolver(sealer=SEALER, environ={"ID": "AK"}),
            ids=ids or Ids(),
        )
        return await chain.run(name, DATA if data is None else data)
