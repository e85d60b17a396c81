"""The target of an upload: from the request path to the path that the event carries."""

import uuid
from dataclasses import dataclass

from qmonus_lite.errors import NotFound
from qmonus_lite.pathtemplate import PathTemplate, decode

#: Folder below the launch directory that uploads go to, as on the founding page.
FOLDER = "/upload/"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the template makes of one request path."""

    #: Every variable of the template, decoded once.
    resources: dict[str, str]
    #: Stored path that the client asks for, from the launch directory.
    path: str


def read_target(template: PathTemplate, raw_path: str) -> Target:
    """The target of a raw request path; raises NotFound and BadRequest.

    `{filename}` names the file, else `{filepath}`; with neither, it gets a fresh uuid.
    """
    raw = template.match(raw_path)
    if raw is None:
        raise NotFound("nothing is served at this path")
    resources = {name: _decoded(name, value) for name, value in raw.items()}
    name = resources.get("filename") or resources.get("filepath") or str(uuid.uuid4())
    return Target(resources=resources, path=FOLDER + name)


def _decoded(name: str, value: str) -> str:
    # Slashes of {filepath} separate; only what stands between them is decoded.
    return "/".join(map(decode, value.split("/"))) if name == "filepath" else decode(value)
