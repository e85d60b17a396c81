"""Target of an upload: the stored path and template variables of a request path."""

import uuid
from collections.abc import Mapping

from qmonus_lite.pathtemplate import decode, decode_variable
from qmonus_lite.values import Value

#: Folder of uploads below the launch directory, as on the founding page.
FOLDER = "/upload/"


class Target(Value, frozen=True, kw_only=True):
    """Template variables and stored path of one request path."""

    #: Every variable of the template, decoded once, in NFC.
    resources: dict[str, str]
    #: Stored path requested by the client, relative to the launch directory.
    path: str


def read_target(values: Mapping[str, str]) -> Target:
    """The target for the template variables of a request path; raises InvalidPath.

    `{filename}` names the file, else `{filepath}`; without both, the name is a new UUID. The
    variable that names the file is validated as a path (`uploads.names`); the other variables by
    the rules of all templates.
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
    # Slashes in {filepath} are separators; only the parts between them are decoded.
    return "/".join(map(decode, value.split("/")))


def _of_another(name: str, value: str) -> str:
    return "/".join(decode_variable(name, part) for part in value.split("/"))
