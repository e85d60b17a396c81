"""The target of an upload: from the request path to the path that the event carries."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from qmonus_lite.pathtemplate import decode, decode_variable

#: Folder below the launch directory that uploads go to, as on the founding page.
FOLDER = "/upload/"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the template makes of one request path."""

    #: Every variable of the template, decoded once, in NFC.
    resources: dict[str, str]
    #: Stored path that the client asks for, from the launch directory.
    path: str


def read_target(values: Mapping[str, str]) -> Target:
    """The target of what the template found in a request path; raises BadRequest.

    `{filename}` names the file, else `{filepath}`; with neither, it gets a fresh uuid. What names
    the file becomes a path, which is checked as such (`uploads.names`); the other variables are
    held to the rule of all templates.
    """
    naming = "filename" if "filename" in values else "filepath"
    resources = {
        name: _of_file(value) if name == naming else _of_another(name, value)
        for name, value in values.items()
    }
    return Target(resources=resources, path=FOLDER + (resources.get(naming) or str(uuid.uuid4())))


def _of_file(value: str) -> str:
    if "%" not in value and value.isascii():
        return value
    # Slashes of {filepath} separate; only what stands between them is decoded.
    return "/".join(map(decode, value.split("/")))


def _of_another(name: str, value: str) -> str:
    return "/".join(decode_variable(name, part) for part in value.split("/"))
