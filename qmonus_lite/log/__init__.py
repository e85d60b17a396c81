"""Logging: configuration, context variables, formatters for people (console) and machines (json).

Modules of this package call `logging.getLogger(...)` and pass `extra={"action": ..., ...}`;
context bound by `bound(request_id=...)` is added to every record made inside the block. Secrets
registered in `redaction` are masked, and text in a record cannot imitate another record. The names
that fields have in the code and in JSON are in `field_names`.
"""

from qmonus_lite.log.configuration import configure
from qmonus_lite.log.context import bound, named

__all__ = ["bound", "configure", "named"]
