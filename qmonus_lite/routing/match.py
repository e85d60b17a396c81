"""Route matching: selects the route for a request path."""

from collections.abc import Iterable, Mapping

from qmonus_lite.catalog.plugins import Route
from qmonus_lite.pathtemplate import decode_variable
from qmonus_lite.values import Value


class Match(Value, frozen=True, kw_only=True):
    """A route that matches a path, and the path variables."""

    route: Route
    #: The path, still percent-encoded.
    raw_path: str
    #: Path variables, still percent-encoded.
    values: Mapping[str, str]

    def resources(self) -> dict[str, str]:
        """Path variables, decoded once, in NFC; raises InvalidPath."""
        return {name: decode_variable(name, raw) for name, raw in self.values.items()}


def best(routes: Iterable[Route], raw_path: str) -> Match | None:
    """The matching route with the fewest variables; the first of several with equally many."""
    found = (
        Match(route=route, raw_path=raw_path, values=values)
        for route in routes
        if (values := route.template.match(raw_path)) is not None
    )
    return min(found, key=lambda match: len(match.values), default=None)
