"""A plugin folder on disk, and a loader for it."""

from pathlib import Path

from qmonus_lite.auth.sealing import Sealer
from qmonus_lite.catalog.builders import BuildContext
from qmonus_lite.catalog.loader import Loader
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.errors import BadPlugins
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.scripting.builtins.names import granted

SEALER = Sealer(key=b"s" * 32)

HANDLER = """\
name: {name}
event: {event}
script: |-
  async def run(event, handle):
      {line}
"""
ROUTE = """\
- authorities: ["127.0.0.1:1"]
  proxy:
    path: /v1/x
"""


def reserved(public: PathTemplate) -> str | None:
    return "is taken" if public.text.startswith("/upload/") else None


BUILD_CONTEXT = BuildContext(
    names=granted(callout=None, options=None), sealer=SEALER, reserved=reserved
)


def handler(name: str = "welcome", event: str = "Sample", line: str = "pass") -> str:
    return HANDLER.format(name=name, event=event, line=line)


class Folder:
    """A folder of plugin files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loader = Loader([path], BUILD_CONTEXT)

    def put(self, name: str, text: str | bytes) -> Path:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)
        return place

    def load(self) -> Catalog:
        return self.loader.load()

    def faults(self) -> list[str]:
        """What is wrong, each with its path from the folder."""
        try:
            self.load()
        except BadPlugins as error:
            return [str(fault).removeprefix(f"{self.path}/") for fault in error.faults]
        return []
