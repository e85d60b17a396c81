"""Table of the names that scripts can use without an import.

The compiler grants exactly these, and the reference page is generated from the table.
"""

import asyncio
import base64
import copy
import datetime
import functools
import importlib
import io
import ipaddress
import json
import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiobotocore
from tornado.httputil import HTTPHeaders

from qmonus_lite.imported_on_use import ClassOnUse, ImportedOnUse
from qmonus_lite.scripting.builtins import cache, client_timeouts, config, events, raising, text
from qmonus_lite.values import Value

if TYPE_CHECKING:
    # Imported on use, below; the check of imports finds them here.
    import aiofiles  # noqa: F401
    import aiohttp  # noqa: F401
    import jsonschema  # noqa: F401


class Name(Value, frozen=True, kw_only=True):
    """One granted name."""

    #: Value that the script gets; None for a name that the process supplies (callout, options).
    value: Any
    #: Description for the reference page.
    gloss: str


def _module(value: Any) -> Name:
    return Name(value=value, gloss=f"the module `{value.__name__}`")


def _imported_on_use(name: str) -> Name:
    """A module that takes long to import and that few scripts use.

    `compiler` imports it when a script that reads the name is loaded.
    """
    return Name(value=ImportedOnUse(name), gloss=f"the module `{name}`")


def _method(name: str) -> Name:
    return Name(value=name, gloss=f"the text `{name}`, for `callout` and `request.method`")


def _own(value: Any) -> Name:
    gloss = (value.__doc__ or "").split("\n\n", 1)[0]
    return Name(value=value, gloss=" ".join(gloss.split()))


NAMES: Mapping[str, Name] = {
    "callout": Name(value=None, gloss="HTTP request with kept connections; see below"),
    "MU": Name(
        value=ClassOnUse("qmonus_lite.scripting.builtins.mu", "MU"),
        gloss="`MU(json.loads(request.body)).bucket`; a missing name raises AttributeError.",
    ),
    "get_service_config": _own(config.get_service_config),
    "lambda_event": _own(events.lambda_event),
    "publish": _own(events.publish),
    "logger": Name(value=logging.getLogger("plugin"), gloss="`logging.Logger` of the plugins"),
    "options": Name(value=None, gloss="the settings of this process, read-only"),
    "HTTPError": Name(value=raising.HTTPError, gloss="`raise HTTPError(405)`: Tornado's"),
    "Error": _own(raising.Error),
    "HTTPHeaders": Name(value=HTTPHeaders, gloss="Tornado's case-insensitive header dict"),
    "genkey": _own(text.genkey),
    "encrypt": _own(text.encrypt),
    "decrypt": _own(text.decrypt),
    "queryjoin": _own(text.queryjoin),
    "multi": _own(text.multi),
    "Cache": _own(cache.Cache),
    **{name: _method(name) for name in "GET PUT POST DELETE PATCH HEAD OPTIONS".split()},
    **{
        module.__name__: _module(module)
        for module in (json, re, io, time, datetime, uuid, copy, base64, ipaddress, asyncio)
    },
    "urllib": Name(
        value=ImportedOnUse("urllib", "urllib.parse", "urllib.request"),
        gloss="the package `urllib`, with `parse` and `request`",
    ),
    **{name: _imported_on_use(name) for name in ("jsonschema", "aiohttp", "aiofiles")},
}


def granted(*, callout: object, options: object) -> dict[str, object]:
    """The granted names of one process, for compiling scripts."""
    _keep_old_entry_points()
    client_timeouts.lengthen_aiohttp()
    supplied = {"callout": callout, "options": options}
    return {name: supplied.get(name, entry.value) for name, entry in NAMES.items()}


def _keep_old_entry_points() -> None:
    """Keep `aiobotocore.get_session()` of the founding page working; it moved to `.session`."""
    if not hasattr(aiobotocore, "get_session"):
        aiobotocore.get_session = _get_session


def _get_session(*args: Any, **kwargs: Any) -> Any:
    # Not imported above: botocore is large, and most plugin folders never use it.
    session = importlib.import_module("aiobotocore.session").get_session(*args, **kwargs)
    session.register_component("data_loader", _aws_models())
    client_timeouts.lengthen_botocore(
        session, importlib.import_module("aiobotocore.config").AioConfig
    )
    return session


@functools.cache
def _aws_models() -> Any:
    """botocore's model loader: 3 MB of JSON, read once per process instead of once per session.

    Parsing it and collecting its garbage hold the GIL for 0.2 s, which delays every upload.
    """
    return importlib.import_module("botocore.loaders").create_loader()
