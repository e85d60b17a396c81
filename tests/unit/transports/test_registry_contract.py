"""The contract of `events.workers.WorkerRegistry`, for each implementation."""

from qmonus_lite.events.workers import Handled, WorkerRegistry
from tests.unit.transports.implementations import Site, until


async def followed(site: Site) -> Site:
    site.follow()
    await until(lambda: site.registry.ready)
    return site


class TestWorkerRegistry:
    """What uploads, the dispatcher and readiness rely on."""

    async def test_before_the_first_report_everything_is_unknown(self, site: Site) -> None:
        registry: WorkerRegistry = site.registry

        assert registry.handled("E") is registry.handled("Other") is Handled.UNKNOWN
        assert not registry.ready and registry.known.live == ()
        assert not registry.has_no_handler_for("Other")
        assert not registry.takes("E") and not registry.takes("Other")
        assert registry.unhealthy_reason == "no Lambda worker answers"

    async def test_knows_what_a_worker_that_is_up_handles(self, site: Site) -> None:
        registry = (await followed(site)).registry

        assert registry.handled("E") is Handled.HANDLED
        assert registry.handled("Other") is Handled.NOT_HANDLED
        assert registry.has_no_handler_for("Other") and not registry.has_no_handler_for("E")
        assert registry.takes("E") and registry.takes("Other")
        assert registry.unhealthy_reason is None and registry.warnings == []

    async def test_names_the_live_workers_and_their_plugin_fingerprint(self, site: Site) -> None:
        known = (await followed(site)).registry.known
        [live] = known.live
        [report] = known.reports

        assert known.able("E") == known.able("Other") == known.takers["E"] == (live,)
        assert report.endpoint == live
        assert report.generation == site.worker.live.catalog.fingerprint

    async def test_listeners_are_called_when_a_worker_comes_up_and_when_its_plugins_change(
        self, site: Site
    ) -> None:
        calls: list[str] = []
        site.registry.on_ready(lambda: calls.append("ready"))
        site.registry.on_first_ready(lambda: calls.append("first"))
        await followed(site)
        await until(lambda: sorted(calls) == ["first", "ready"])
        before = site.registry.known
        site.worker.handler("b", "Other")
        await site.worker.live.reload()
        await until(lambda: len(calls) == 3)

        assert calls[2] == "ready"
        assert site.registry.handled("Other") is Handled.HANDLED
        assert "Other" not in before.handled

    async def test_a_handler_that_is_removed_is_not_handled(self, site: Site) -> None:
        registry = (await followed(site)).registry
        (site.worker.folder.path / "a.yml").unlink()
        await site.worker.live.reload()

        await until(lambda: registry.handled("E") is Handled.NOT_HANDLED)
        assert registry.has_no_handler_for("E")

    async def test_the_last_report_of_a_worker_that_is_down_counts(self, site: Site) -> None:
        registry = (await followed(site)).registry
        await site.stop()
        await until(lambda: not registry.ready)

        assert registry.handled("E") is Handled.HANDLED
        assert not registry.takes("E") and registry.known.able("E") == ()
        # Nobody knows which plugins it has when it comes up again.
        assert not registry.has_no_handler_for("Other") and not registry.takes("Other")
        assert registry.unhealthy_reason is not None
        assert len(registry.warnings) == 1

    async def test_a_worker_that_comes_up_again_is_known_again(self, site: Site) -> None:
        registry = (await followed(site)).registry
        await site.stop()
        await until(lambda: not registry.ready)
        await site.restart()
        await until(lambda: registry.ready)

        assert registry.takes("E") and registry.warnings == []
