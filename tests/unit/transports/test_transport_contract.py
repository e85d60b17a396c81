"""The contract of `events.transport.Transport`, for each implementation."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.events import transport as transport_module
from qmonus_lite.events.envelope import Purpose
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.events.transport import Broken, Transport, Unreachable
from tests.unit.transports.implementations import Site, event, until

PURPOSES = pytest.mark.parametrize("purpose", list(Purpose))


@pytest.fixture
async def site(site: Site) -> Site:
    """The implementation with a registry that knows the worker."""
    site.follow()
    await until(lambda: site.registry.ready)
    return site


async def put(site: Site, *lines: str, name: str = "a", event_name: str = "E") -> None:
    """Replace a handler."""
    site.worker.handler(name, event_name, "\n      ".join(lines))
    await site.worker.live.reload()
    await until(lambda: event_name in site.registry.known.handled)


async def outcome(site: Site, data: dict[str, Any], **more: Any) -> Outcome:
    transport: Transport = site.transport
    answer = await transport.ask(event(data, **more), 5)
    assert isinstance(answer, Outcome)
    return answer


class TestTransport:
    """What queries and the dispatcher rely on."""

    async def test_the_answer_to_a_question_is_the_event_as_its_handlers_left_it(
        self, site: Site
    ) -> None:
        data = {"n": 1, "text": "\u00fc", "more": [None, True, 1.5, {"a": "b"}]}
        answer = await outcome(site, data)

        assert (answer.code, answer.handlers, answer.event) == (200, ("a",), data | {"n": 2})

    async def test_the_answer_to_a_delivery_has_no_event(self, site: Site) -> None:
        answer = await outcome(site, {"n": 1}, purpose=Purpose.DELIVERY)

        assert (answer.code, answer.handlers, answer.event) == (200, ("a",), {})

    @PURPOSES
    async def test_a_refusal_is_an_outcome(self, site: Site, purpose: Purpose) -> None:
        await put(site, "await handle.terminate(403, {'why': [1]}, headers={'X-Why': 'no'})")
        answer = await outcome(site, {}, purpose=purpose)

        assert (answer.code, answer.output, answer.refused) == (403, {"why": [1]}, True)
        assert answer.headers == {"X-Why": "no"}
        assert answer.refusal is not None and answer.refusal.plugin == "a"

    @PURPOSES
    async def test_a_handler_that_raises_is_an_outcome(self, site: Site, purpose: Purpose) -> None:
        await put(site, "raise ValueError")

        assert (await outcome(site, {}, purpose=purpose)).code == 500

    @PURPOSES
    async def test_an_event_without_handlers_comes_back_without(
        self, site: Site, purpose: Purpose
    ) -> None:
        answer = await outcome(site, {}, name="Other", purpose=purpose)

        assert (answer.code, answer.handlers) == (200, ())

    async def test_handlers_get_the_ids(self, site: Site) -> None:
        line = "event['ids'] = [handle.event_id, handle.request_id, handle.upload_id]"
        await put(site, line, "event['attempt'] = handle.attempt")
        answer = await outcome(site, {}, event_id="e7", attempt=3)

        assert (answer.event["ids"], answer.event["attempt"]) == (["e7", "r1", "u1"], 3)

    async def test_a_delivery_that_succeeded_is_not_run_again_and_a_question_is(
        self, site: Site, tmp_path: Path
    ) -> None:
        runs = tmp_path / "runs"
        await put(site, f"with open({str(runs)!r}, 'a') as f: f.write('x')")
        for attempt in (1, 2):
            answer = await outcome(site, {}, purpose=Purpose.DELIVERY, attempt=attempt)
            assert answer.handlers == ("a",)
        assert runs.read_text() == "x"

        for _ in range(2):
            await outcome(site, {}, event_id="question")
        assert runs.read_text() == "xxx"

    @PURPOSES
    async def test_a_timeout_ends_the_attempt_and_not_the_handler(
        self, site: Site, purpose: Purpose, tmp_path: Path
    ) -> None:
        ended = tmp_path / "ended"
        await put(site, "await asyncio.sleep(0.3)", f"open({str(ended)!r}, 'w').close()")
        answer = await site.transport.ask(event({}, purpose=purpose), 0.05)

        assert isinstance(answer, Broken)
        assert answer.worker and "no answer within 0.05 s" in answer.reason
        assert not answer.invalid and answer.retry_after is None
        await until(ended.exists)

    async def test_cancelling_an_attempt_does_not_end_the_handler(
        self, site: Site, tmp_path: Path
    ) -> None:
        begun, ended = tmp_path / "begun", tmp_path / "ended"
        line = f"open({str(begun)!r}, 'w').close()"
        await put(site, line, "await asyncio.sleep(0.2)", f"open({str(ended)!r}, 'w').close()")
        attempt = asyncio.create_task(site.transport.ask(event({}), 5))
        await until(begun.exists)
        attempt.cancel()

        await until(ended.exists)
        assert attempt.cancelled()

    async def test_a_slow_handler_delays_no_other_event(self, site: Site) -> None:
        await put(site, "await asyncio.sleep(3)", name="b", event_name="Slow")
        slow = asyncio.create_task(site.transport.ask(event({}, name="Slow"), 0.5))
        await asyncio.sleep(0)

        assert (await outcome(site, {"n": 0})).event == {"n": 1}
        assert isinstance(await slow, Broken)

    async def test_the_heartbeat_beats_while_handlers_run(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport_module, "HEARTBEAT_SECONDS", 0.02)
        await put(site, "await asyncio.sleep(0.3)")
        beats: list[None] = []
        sent = event({}, purpose=Purpose.DELIVERY)
        await site.transport.ask(sent, 5, lambda: beats.append(None))
        count = len(beats)
        await asyncio.sleep(0.1)

        assert count > 1
        assert len(beats) == count

    async def test_an_event_that_ends_soon_needs_no_heartbeat(self, site: Site) -> None:
        beats: list[None] = []
        await site.transport.ask(event({"n": 0}), 5, lambda: beats.append(None))

        assert beats == []

    @PURPOSES
    async def test_nothing_runs_after_the_worker_has_stopped(
        self, site: Site, purpose: Purpose, tmp_path: Path
    ) -> None:
        ran = tmp_path / "ran"
        await put(site, f"open({str(ran)!r}, 'w').close()")
        await site.stop()
        await until(lambda: not site.registry.ready)
        answer = await site.transport.ask(event({}, purpose=purpose), 5)

        assert isinstance(answer, Unreachable) and answer.reason
        assert not ran.exists()

    async def test_the_transport_can_be_closed_twice(self, site: Site) -> None:
        await site.transport.close()
        await site.transport.close()
