"""Constants that scripts can rely on: event names, keys of events, attributes of `handle`."""

#: Events that this release publishes.
PUBLISHED = ("APIGW.OnFileUploading", "APIGW.OnFileUploaded")
#: Events whose handlers decide on an upload; not all of them are published yet.
GATES = frozenset({"APIGW.OnFileUploading", "APIGW.OnFileInspecting", "APIGW.OnFileReceived"})
#: Events that are stored and delivered later, with credential headers redacted.
DELIVERED_EVENTS = frozenset({"APIGW.OnFileUploaded"})

#: Keys of the events that qmonus_lite publishes.
EVENT_KEYS = frozenset(
    """
    path resources params headers account length limits link metadata head sha256
    filepath bytes mime address port filename upload_id event_id request_id
    """.split()
)
#: Of these, the keys that only APIGW.OnFileUploaded has.
ONLY_UPLOADED = frozenset("filepath bytes mime address port".split())
#: Attributes of `handle`.
HANDLE = frozenset(
    "terminate termination event_id attempt request_id upload_id traceparent".split()
)

#: Headers that are redacted in pending events.
MASKED = frozenset({"authorization", "x-auth-token", "x-api-key", "cookie", "proxy-authorization"})
#: Headers removed from a route script's request, as their values are qmonus_lite credentials.
NOT_IN_REQUESTS = frozenset({"x-api-key", "x-qmonus-lite-pass"})

#: Attributes of the objects that a script of a route is given, and arguments of its `finish`.
REQUEST = frozenset("method path headers params body account".split())
RESPONSE = frozenset("code headers body".split())
FINISH = frozenset("body code headers".split())
