"""Recognizes a PUT whose body is not the file but the file in the format of another protocol.

Such a body is stored as sent: a file may well be in that format, and only its client knows.
"""

from qmonus_lite.http.framing import RequestHead

_FIELDS = frozenset({"content-type", "content-encoding", "x-amz-content-sha256"})


def wrapped_body_warning(head: RequestHead) -> str | None:
    """What is stored besides the file, and how to send the file alone; None for any other body."""
    if not head.has_any(_FIELDS):
        return None
    if any(_starts(value, "multipart/form-data") for value in head.values("content-type")):
        return (
            "the body is multipart/form-data, so boundary lines are stored with the file;"
            " send the file itself (curl -T, not -F)"
        )
    codings = ",".join(head.values("content-encoding")).lower().split(",")
    signed = head.values("x-amz-content-sha256")
    if "aws-chunked" in map(str.strip, codings) or any(_starts(of, "streaming-") for of in signed):
        return (
            "the body is aws-chunked, so chunk sizes and signatures are stored with the file;"
            " an S3 client cannot upload here"
        )
    return None


def _starts(value: str, prefix: str) -> bool:
    return value[: len(prefix)].lower() == prefix
