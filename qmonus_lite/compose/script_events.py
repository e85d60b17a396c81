"""Events that scripts of routes, and handlers of questions, publish durably in an APIGW."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.clock import Clock
from qmonus_lite.events.published import PublishedEvent, Source
from qmonus_lite.log.context import current
from qmonus_lite.trace_context import of_log_fields
from qmonus_lite.values import Value
from qmonus_lite.writer.service import CommitService


class ScriptEvents(Value, frozen=True, kw_only=True):
    """Stores what scripts publish."""

    commits: CommitService
    clock: Clock
    #: Id of this gateway.
    gateway: str

    async def store(self, events: Sequence[PublishedEvent], source: Source) -> None:
        """Store events durably; raises Problem."""
        time = self.clock.moment()
        await self.commits.publish(
            [event.pending(time=time, gateway=self.gateway, source=source) for event in events]
        )

    def publisher(self, catalog: Catalog) -> Callable[[object, object], Awaitable[str]]:
        """`publish` for the scripts of routes; stores on the event loop that calls this now."""
        loop = asyncio.get_running_loop()

        async def publish(name: object, event: object) -> str:
            kept = catalog.kept_headers(name) if isinstance(name, str) else frozenset()
            published = PublishedEvent.of(name, event, kept)
            # The script runs in the context (contextvars) of its request.
            fields = current()
            source = Source(
                request_id=fields.get("request_id", ""), traceparent=of_log_fields(fields)
            )
            storing = asyncio.run_coroutine_threadsafe(self.store([published], source), loop)
            await asyncio.wrap_future(storing)
            return published.id

        return publish
