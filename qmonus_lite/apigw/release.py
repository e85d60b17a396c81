"""The end of a request, however it ends: nothing of it stays in memory.

Objects that refer to each other are freed only when the garbage collector finds them, which may be
thousands of requests later (`serving.put_requests_first`). Tornado parts them after an answer, but
not where the client broke off; what it leaves is parted here.
"""

from typing import Any

from tornado.web import RequestHandler


class Ending(RequestHandler):
    """A handler that is freed with its connection."""

    #: Set when the request was answered before its body came.
    refused = False

    def clear(self) -> None:
        """Begin the answer. Tornado calls it first of all."""
        # For templates, of which there are none; it refers to us.
        self.ui = None  # type: ignore[assignment]

    def on_done(self) -> None:
        """This request no longer counts as under way; may be called again."""

    def let_go(self) -> None:
        """Keep no body in memory, since nobody will use it; may be called again."""

    def on_finish(self) -> None:
        """The request is over."""
        self.on_done()
        self.let_go()
        self._part()

    def on_connection_close(self) -> None:
        """The client left."""
        super().on_connection_close()
        connection: Any = self.request.connection
        if connection._read_finished:
            # What has the body goes on with it.
            return
        self.let_go()
        if self._prepared_future is not None and self._prepared_future.done():
            # Who waits for it has it. Its exception refers to the frame that waits, and that to us.
            self.request._body_future = None
        self._part()

    def go_on_to(self, method: Any) -> None:
        """Have Tornado call this, once the body is read, in place of the method of the door."""
        setattr(self, (self.request.method or "").lower(), method)

    def _part(self) -> None:
        if self.refused and self.request.method in RequestHandler.SUPPORTED_METHODS:
            # The method that stands there is one of ours.
            self.go_on_to(_over)


async def _over(*_path: str) -> None:
    """In place of the method of a request that is over."""
