"""A worker's machine that vanishes without a word: what was under way there is done elsewhere."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qmonus_lite.transports.http import keepalive, worker_registry
from tests.integration.machine import UNABLE, Machine
from tests.integration.two_processes import TwoProcesses, until

pytestmark = pytest.mark.skipif(UNABLE is not None, reason=str(UNABLE))

#: More than are delivered at once.
EVENTS = 70
HANDLER = """\
name: handler
event: APIGW.OnFileUploaded
script: |-
  async def handler(event, handle):
      with open({file!r}, "a") as f:
          f.write(event["path"] + "\\n")
      await asyncio.sleep({seconds})
"""


class Site:
    """An APIGW in this process, and machines for its worker, one after the other."""

    def __init__(self, two: TwoProcesses) -> None:
        self.two = two
        self._machines: list[Machine] = []

    def machine(self, *, seconds: float) -> Machine:
        """A machine with a worker whose handler takes so long; at the address of the last one."""
        count = len(self._machines)
        machine = Machine(subnet=os.getpid() % 250)
        self._machines.append(machine)
        plugins = self.two.folder / f"plugins-{count}"
        plugins.mkdir()
        text = HANDLER.format(file=str(self.file(count)), seconds=seconds)
        (plugins / "handler.yml").write_text(text)
        machine.run(
            "lambda",
            f"--base_dir={self.two.folder}",
            f"--plugins_base_dirs={plugins}",
            f"--lambda_address={machine.address}",
            "--behind_proxy=true",
            environ={"PATH": os.environ["PATH"], "HOME": str(self.two.folder)},
            output=self.two.folder / f"machine-{count}.log",
        )
        return machine

    def file(self, which: int) -> Path:
        """Where the handler of a machine writes what came."""
        return self.two.folder / f"came-{which}"

    def came(self, which: int) -> list[str]:
        return self.file(which).read_text().splitlines() if self.file(which).exists() else []

    async def upload_all(self) -> None:
        headers = self.two.admin
        for number in range(EVENTS):
            status = await self.two.status("PUT", f"/upload/{number}", data=b"x", headers=headers)
            assert status == 201

    def end(self) -> None:
        for machine in self._machines:
            machine.end()


@pytest.fixture
def site(two: TwoProcesses) -> Iterator[Site]:
    site = Site(two)
    yield site
    site.end()


@pytest.fixture
async def under_way(site: Site) -> AsyncIterator[Machine]:
    """The first machine, with all the deliveries under way there that there can be."""
    try:
        machine = site.machine(seconds=3600)
    except subprocess.CalledProcessError:
        pytest.skip("this kernel makes no network namespaces")
    site.two.flags["lambda_endpoints"] = (f"http://{machine.address}:9100",)
    await site.two.start_apigw()
    async with asyncio.timeout(20):
        while await site.two.status("GET", "/-/ready") != 200:
            await asyncio.sleep(0.05)
    await site.upload_all()
    await until(lambda: len(site.came(0)) == 64, 20)
    yield machine


async def replaced(site: Site, lost: Machine) -> None:
    """A machine at the same address takes all that is not done, the lost deliveries too."""
    lost.unplug()
    site.machine(seconds=0)
    await until(lambda: len(site.came(1)) == EVENTS, 20)
    assert sorted(site.came(1)) == sorted(f"/upload/{number}" for number in range(EVENTS))


@pytest.fixture
def hasty_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long poll that is soon missed; no probe of the kernel comes before it."""
    monkeypatch.setattr(worker_registry, "POLL_SECONDS", 0.5)
    monkeypatch.setattr(worker_registry, "POLL_GRACE_SECONDS", 1.5)
    monkeypatch.setattr(keepalive, "IDLE_SECONDS", 60)
    monkeypatch.setattr(keepalive, "USER_TIMEOUT_MS", 120_000)


@pytest.fixture
def hasty_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes of the kernel that are soon missed; no long poll is before them."""
    monkeypatch.setattr(worker_registry, "POLL_SECONDS", 60.0)
    for name, value in {
        "IDLE_SECONDS": 1,
        "INTERVAL_SECONDS": 1,
        "PROBES": 2,
        "USER_TIMEOUT_MS": 2000,
    }.items():
        monkeypatch.setattr(keepalive, name, value)


@pytest.mark.usefixtures("hasty_poll")
async def test_a_worker_that_misses_its_long_poll_holds_nothing_up(
    site: Site, under_way: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    under_way.vanish()
    await until(
        lambda: "worker_away" in {vars(record).get("action") for record in caplog.records}, 8
    )

    [away] = [
        vars(record) for record in caplog.records if vars(record).get("action") == "worker_away"
    ]
    assert away["ended"] == 64
    status, said = await site.two.send("GET", "/-/ready")
    assert (status, "no Lambda worker answers" in str(said)) == (503, True)
    await replaced(site, under_way)


@pytest.mark.usefixtures("hasty_probes")
async def test_a_worker_that_misses_the_probes_of_the_kernel_holds_nothing_up(
    site: Site, under_way: Machine
) -> None:
    under_way.vanish()

    await replaced(site, under_way)
