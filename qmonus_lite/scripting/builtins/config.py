"""`get_service_config`: the values of a Config plugin."""

from typing import TYPE_CHECKING, Any

from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.scripting import context
from qmonus_lite.scripting.builtins.raising import Error

if TYPE_CHECKING:
    from qmonus_lite.scripting.builtins import mu
else:
    mu = ImportedOnUse("qmonus_lite.scripting.builtins.mu")


async def get_service_config(service: str, mu_conversion: bool = False) -> dict[str, Any]:
    """The values of the Config plugin named `service`, secrets opened.

    A dict, or an MU with `mu_conversion=True`. Raises Error(404) if no such plugin exists.
    """
    try:
        values = context.current().config(service)
    except KeyError:
        raise Error(404, f"no Config plugin is named {service!r}") from None
    return mu.MU(values) if mu_conversion else dict(values)
