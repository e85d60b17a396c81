"""Context of log records: ids that are added to every record made inside a block."""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType

_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default=MappingProxyType({}))


class bound:
    """Add these names to every record made inside the block, including those of its scripts."""

    __slots__ = ("_names", "_token")

    def __init__(self, **names: str) -> None:
        self._names = names

    def __enter__(self) -> None:
        self._token: Token[Mapping[str, str]] = _context.set({**_context.get(), **self._names})

    def __exit__(self, *_error: object) -> None:
        _context.reset(self._token)


def current() -> Mapping[str, str]:
    """All names that are bound in the current context."""
    return _context.get()


def named(name: str) -> str:
    """The value bound to this name in the current context, or an empty string."""
    return _context.get().get(name, "")
