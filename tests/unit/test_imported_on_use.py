"""Modules that are imported on use: when, as what, and from several threads."""

import subprocess
import sys

import pytest

from qmonus_lite.imported_on_use import ClassOnUse, ImportedOnUse, OnUse
from qmonus_lite.scripting.builtins.mu import MU


def printed(program: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_imports_when_an_attribute_is_read() -> None:
    program = """
import sys
from qmonus_lite.imported_on_use import ImportedOnUse
module = ImportedOnUse("wave")
print("wave" in sys.modules)
print(module.Wave_read.__name__, "wave" in sys.modules, module.imported() is sys.modules["wave"])
"""
    assert printed(program) == ["False", "Wave_read", "True", "True"]


def test_threads_that_use_it_at_once_all_get_the_complete_module() -> None:
    program = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from qmonus_lite.imported_on_use import ImportedOnUse
module, begin = ImportedOnUse("aiohttp"), Barrier(4)
def use(name):
    begin.wait(60)
    return getattr(module, name).__name__
with ThreadPoolExecutor(4) as threads:
    print(*threads.map(use, ["ClientSession", "WSMessage", "BodyPartReader", "ClientSession"]))
"""
    assert printed(program) == ["ClientSession", "WSMessage", "BodyPartReader", "ClientSession"]


def test_a_module_that_is_not_installed_raises_on_each_use() -> None:
    module = ImportedOnUse("not_installed_module")

    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="not_installed_module"):
            module.attribute  # noqa: B018


def test_submodules_are_imported_with_it() -> None:
    urllib = ImportedOnUse("urllib", "urllib.parse", "urllib.request")

    assert urllib.parse.quote("a b") == "a%20b"
    assert urllib.request.__name__ == "urllib.request"


def test_a_class_on_use_makes_objects_of_the_class() -> None:
    deferred = ClassOnUse("qmonus_lite.scripting.builtins.mu", "MU")

    assert deferred(a=1).a == 1
    assert deferred.imported() is MU
    assert isinstance(deferred, OnUse) and not isinstance(sys, OnUse)
