"""Modules that are imported when they are first used, for a short start and small processes.

Own code declares one so; type checker and import contracts see the import, and the annotations that
name the module are in quotes:

    if TYPE_CHECKING:
        import aiohttp
    else:
        aiohttp = ImportedOnUse("aiohttp")
"""

from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class OnUse(Protocol):
    """Stands for a value whose import is deferred."""

    def imported(self) -> object:
        """Import the value; returns it."""


class ImportedOnUse(ModuleType):
    """Stands for a module; the first read of an attribute imports that.

    Threads may use it at once: each waits for the complete module. It is no entry of `sys.modules`,
    as a module of importlib.util.LazyLoader is, whose loading other threads see half done.
    """

    def __init__(self, name: str, *submodules: str) -> None:
        """`submodules` are imported with it, by their full names."""
        super().__init__(name)
        self.__dict__["_submodules"] = submodules

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.imported(), attribute)

    def imported(self) -> ModuleType:
        """Import the module; returns it."""
        for name in self.__dict__["_submodules"]:
            import_module(name)
        # Not from `sys.modules`, which has a module also while another thread is importing it.
        return import_module(self.__name__)


class ClassOnUse:
    """Stands for a class; the first call imports its module."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.imported()(*args, **kwargs)

    def imported(self) -> Any:
        """Import the class; returns it."""
        return getattr(import_module(self._module), self._name)
