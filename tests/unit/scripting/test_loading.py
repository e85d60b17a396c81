"""The module level of scripts that take their time."""

import threading
import time

import pytest

from qmonus_lite.scripting import loading
from qmonus_lite.scripting.loading import StillLoading, in_time
from tests.unit.scripting.samples import faults

END = "\nasync def run(event, handle): pass\n"


@pytest.fixture(autouse=True)
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_LOAD_SECONDS", 0.3)
    monkeypatch.setattr(loading, "INTERRUPT_SECONDS", 0.3)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "loading"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\nwhile True: x += 1\n", 6),
        ("def f():\n    while True: pass\nf()\n", 6),
        ("import time\nwhile True: time.sleep(0.01)\n", 6),
    ],
)
def test_a_module_level_that_never_ends_is_a_fault_with_its_line(text: str, line: int) -> None:
    message = "is still running after 0.3 s; what takes long has to stand inside of a function"

    assert faults(text + END) == [f"{line}:5: sample.script: {message}"]
    assert threads() == []


def test_one_that_waits_in_c_is_left_to_itself() -> None:
    [fault] = faults("import time\ntime.sleep(1.2)" + END)

    assert "is still running" in fault
    assert threads() == ["loading"]
    time.sleep(1.2)
    assert threads() == []


def test_what_ends_in_time_has_its_own_end() -> None:
    done = []
    in_time(lambda: done.append(threading.current_thread().name))

    assert done == ["loading"]
    with pytest.raises(TimeoutError, match="mine"):
        in_time(lambda: _raise(TimeoutError("mine")))
    with pytest.raises(SystemExit):
        in_time(lambda: _raise(SystemExit()))
    with pytest.raises(StillLoading):
        in_time(lambda: time.sleep(0.5))
    time.sleep(0.5)


def _raise(error: BaseException) -> None:
    raise error
