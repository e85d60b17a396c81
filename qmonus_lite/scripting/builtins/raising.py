"""Exceptions that a script raises on purpose: `Error` and `HTTPError`."""

from tornado.web import HTTPError

__all__ = ["Error", "HTTPError"]


class Error(Exception):
    """`raise Error(404, "no such image")`: end the request with this code.

    `body`, when given, is the answer (text, or JSON for dict and list); else the reason is. The
    signature is that of Qmonus SDK; `moreInfo` is stored for scripts that read it.
    """

    def __init__(
        self, code: int, reason: str = "", body: object = None, moreInfo: object = None
    ) -> None:
        self.code = code
        self.reason = reason
        self.body = body
        self.moreInfo = moreInfo
        super().__init__(f"{code} {reason}".strip())
