"""Release of a finished or aborted request: breaks reference cycles of Tornado handlers.

Objects in a cycle are freed only by the garbage collector, which may run thousands of requests
later (`serving.tune_interpreter`). Tornado breaks its cycles after a response, but not when the
client disconnects; those cycles are broken here.
"""

from typing import Any

from tornado.web import RequestHandler


class Ending(RequestHandler):
    """Handler that is freed by reference counting when its request ends."""

    #: True if the error response was sent before the body was complete.
    refused = False

    def clear(self) -> None:
        """Drop `ui`. Tornado calls this first, from the constructor."""
        # Used only by templates, which are not used here; it refers back to the handler.
        self.ui = None  # type: ignore[assignment]

    def on_done(self) -> None:
        """Hook: the request is no longer active; idempotent."""

    def let_go(self) -> None:
        """Hook: release the body and other memory; idempotent."""

    def on_finish(self) -> None:
        """The response was sent: release the request."""
        self.on_done()
        self.let_go()
        self._part()

    def on_connection_close(self) -> None:
        """The client disconnected: release the request unless it still runs."""
        super().on_connection_close()
        connection: Any = self.request.connection
        if connection._read_finished:
            # The body is complete, so the request method continues to run.
            return
        self.let_go()
        if self._prepared_future is not None and self._prepared_future.done():
            # Already awaited. Its exception refers to the awaiting frame, and that to the handler.
            self.request._body_future = None
        self._part()

    def go_on_to(self, method: Any) -> None:
        """Make Tornado call `method` instead of the request method once the body is read."""
        setattr(self, (self.request.method or "").lower(), method)

    def _part(self) -> None:
        if self.refused and self.request.method in RequestHandler.SUPPORTED_METHODS:
            # `go_on_to` stored a bound method, which refers to the handler.
            self.go_on_to(_over)


async def _over(*_path: str) -> None:
    """No-op that replaces the request method after the request has ended."""
