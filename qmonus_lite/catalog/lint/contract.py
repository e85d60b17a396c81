"""What scripts can count on: events of ours, keys of events, what `handle` has."""

#: Events that this release publishes, and those of them that decide on an upload.
PUBLISHED = ("APIGW.OnFileUploading", "APIGW.OnFileUploaded")
#: Events whose handlers decide on an upload; not all of them are published yet.
GATES = frozenset({"APIGW.OnFileUploading", "APIGW.OnFileInspecting", "APIGW.OnFileReceived"})
#: Events that are kept and delivered later, with the values of credential headers masked.
PROMISED = frozenset({"APIGW.OnFileUploaded"})

#: Keys that events of ours have.
EVENT_KEYS = frozenset(
    """
    path resources params headers account length limits link metadata head sha256
    filepath bytes mime address port filename upload_id event_id request_id
    """.split()
)
#: What a handler finds at `handle`.
HANDLE = frozenset("terminate termination event_id attempt request_id upload_id".split())

#: Headers whose values are masked in promised events.
MASKED = frozenset({"authorization", "x-auth-token", "x-api-key", "cookie", "proxy-authorization"})
#: Headers that a route's script does not get where their values are credentials of ours.
NOT_IN_REQUESTS = frozenset({"x-api-key", "x-qmonus-lite-pass"})
