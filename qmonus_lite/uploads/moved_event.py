"""Pending event of an upload whose path was changed after the event was made."""

from qmonus_lite import strictjson
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.uploads.store import PendingUpload, path_text
from qmonus_lite.values import changed


def moved_event(event: PendingEvent, pending: PendingUpload) -> PendingEvent:
    """The event with the path and token that the upload has now."""
    path = path_text(pending.where)
    if path == event.path:
        return changed(event, token=pending.token)
    data = strictjson.read(event.data.encode())
    data["path"] = path
    return changed(
        event,
        path=path,
        store_path=path[1:],
        token=pending.token,
        data=strictjson.write(data),
    )
