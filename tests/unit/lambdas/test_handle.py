"""The handle."""

from typing import Any

import pytest

from qmonus_lite.lambdas.handle import Handle, Termination
from qmonus_lite.scripting.builtins.raising import Error


async def test_nobody_terminated_at_first() -> None:
    assert Handle().termination is None


async def test_terminates_with_code_and_output() -> None:
    handle = Handle()
    await handle.terminate(code=401, output="Unauthorized")

    assert handle.termination == Termination(code=401, output="Unauthorized")


async def test_terminates_with_200_by_default() -> None:
    handle = Handle()
    await handle.terminate()

    assert handle.termination == Termination(code=200, output=None)


async def test_the_first_call_counts() -> None:
    handle = Handle()
    await handle.terminate(403, "no")
    await handle.terminate(200, "yes")

    assert handle.termination == Termination(code=403, output="no")


@pytest.mark.parametrize("code", [0, 100, 199, 600, -1, True, "200", 200.0, None])
async def test_refuses_what_is_no_final_status(code: Any) -> None:
    handle = Handle()
    with pytest.raises(Error, match="no status from 200 to 599") as caught:
        await handle.terminate(code)

    assert caught.value.code == 500
    assert handle.termination is None
