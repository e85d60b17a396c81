"""The target of an upload: from the request path to the path that the event carries."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from qmonus_lite.pathtemplate import decode

#: Folder below the launch directory that uploads go to, as on the founding page.
FOLDER = "/upload/"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the template makes of one request path."""

    #: Every variable of the template, decoded once.
    resources: dict[str, str]
    #: Stored path that the client asks for, from the launch directory.
    path: str


def read_target(values: Mapping[str, str]) -> Target:
    """The target of what the template found in a request path; raises BadRequest.

    `{filename}` names the file, else `{filepath}`; with neither, it gets a fresh uuid.
    """
    resources = {name: _decoded(name, value) for name, value in values.items()}
    name = resources.get("filename") or resources.get("filepath") or str(uuid.uuid4())
    return Target(resources=resources, path=FOLDER + name)


def _decoded(name: str, value: str) -> str:
    # Slashes of {filepath} separate; only what stands between them is decoded.
    return "/".join(map(decode, value.split("/"))) if name == "filepath" else decode(value)
