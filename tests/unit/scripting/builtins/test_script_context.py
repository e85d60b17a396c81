"""`get_service_config` and `lambda_event`: what depends on the run of a script."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from qmonus_lite.errors import Unavailable
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.scripting import context
from qmonus_lite.scripting.builtins.config import get_service_config
from qmonus_lite.scripting.builtins.events import lambda_event
from qmonus_lite.scripting.builtins.mu import MU
from qmonus_lite.scripting.builtins.raising import Error

CONFIGS = {"handson": {"region": "r", "nested": {"a": 1}}}


async def publish(name: str, event: dict[str, Any]) -> Outcome:
    if name == "Away":
        raise Unavailable("no Lambda worker answers")
    return Outcome(code=202, output={"name": name}, event=event | {"seen": True})


async def in_a_run(call: Coroutine[Any, Any, Any]) -> Any:
    """The result of a call, in a script context of its own."""

    async def run() -> Any:
        context.enter(context.ScriptContext(config=CONFIGS.__getitem__, publish=publish))
        return await call

    return await asyncio.create_task(run())


async def test_gives_the_values_of_a_config_as_a_dict() -> None:
    values = await in_a_run(get_service_config("handson"))

    assert type(values) is dict
    assert values == CONFIGS["handson"]


async def test_gives_them_as_an_mu_when_asked() -> None:
    values = await in_a_run(get_service_config("handson", mu_conversion=True))

    assert isinstance(values, MU)
    assert values.nested.a == 1


async def test_what_a_script_does_to_them_is_its_own() -> None:
    (await in_a_run(get_service_config("handson")))["region"] = "changed"

    assert (await in_a_run(get_service_config("handson")))["region"] == "r"


async def test_an_unknown_config_is_not_found() -> None:
    with pytest.raises(Error, match="no Config plugin is named 'missing'") as caught:
        await in_a_run(get_service_config("missing"))

    assert caught.value.code == 404


async def test_gives_what_the_handlers_of_an_event_made_of_it() -> None:
    event = {"a": 1}
    made = await in_a_run(lambda_event("Welcomed", event))

    assert (made.code, made.output.name) == (202, "Welcomed")
    assert made.event == {"a": 1, "seen": True}
    assert event == {"a": 1}
    assert (await in_a_run(lambda_event("Welcomed"))).event == {"seen": True}


async def test_an_event_without_a_live_worker_is_an_error_of_the_script() -> None:
    with pytest.raises(Error, match="no Lambda worker answers") as caught:
        await in_a_run(lambda_event("Away"))

    assert caught.value.code == 503
