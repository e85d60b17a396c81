"""Warning for a handler that succeeded although one of our own APIGWs did not answer its callout.

The founding page's sample does this: it does not check the result of its callout, so its event
counts as delivered although nothing was done.
"""

import logging

from qmonus_lite.scripting.compiler import Script
from qmonus_lite.scripting.context import ScriptContext

logger = logging.getLogger(__name__)


def warn_of_unanswered(script: Script, script_context: ScriptContext) -> None:
    """Log each callout to our own APIGWs that ended with 599 or 504 without a later answer."""
    origin = script.origin
    for (method, address), failure in script_context.unanswered.items():
        line = failure.line_in(origin.file) or origin.line
        logger.warning(
            "%s (%s:%d) ended well, though its callout %s %s got %d: %s",
            origin.label,
            origin.file,
            line,
            method,
            address,
            failure.code,
            failure.reason,
            extra={
                "action": "callout_unanswered",
                "plugin_file": origin.file,
                "line": line,
                "code": failure.code,
            },
        )
