"""The plugins of a trial: a recording handler of every event, and a gate that comes and goes."""

import random
import threading
from pathlib import Path

from tests.acceptance.harness import Installation

#: What the recording handler logs.
SEEN = "chaos_seen"

RECORDING_HANDLER = f"""\
name: recording-handler
event: APIGW.OnFileUploaded
script: |-
  async def recording_handler(event, handle):
      facts = dict(tag=event["params"]["tag"][0], path=event["path"], bytes=event["bytes"])
      logger.info("seen", extra=dict(action="{SEEN}", asked="asked" in event, **facts))
      # Long enough to be killed in.
      await asyncio.sleep(event["bytes"] % 20 / 1000)
"""
GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      if event.get("X-Word") != "open sesame":
          await handle.terminate(code=403, output="say the word")
      event["asked"] = True
"""
#: Seconds that the gate stands, or does not, at least and at most.
SPELL = (3.0, 8.0)


class Gate(threading.Thread):
    """Puts the gate up and takes it away: without it the default authorization decides."""

    def __init__(self, installation: Installation, *, seed: int, stop: threading.Event) -> None:
        super().__init__(name="gate")
        self._place = installation.plugins / "gate.yml"
        self._aside = installation.folder / "gate.yml"
        self._random = random.Random(f"{seed}/gate")
        self._stop_asked = stop

    def run(self) -> None:
        self._aside.write_text(GATE)
        here, there = self._aside, self._place
        while not self._stop_asked.wait(self._random.uniform(*SPELL)):
            here, there = _moved(here, there)


def _moved(here: Path, there: Path) -> tuple[Path, Path]:
    """Move a file, whole, and say where it goes the next time."""
    here.rename(there)
    return there, here
