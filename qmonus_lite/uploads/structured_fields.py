"""Dictionaries of structured header fields (RFC 9651), as far as digest fields need them."""

import base64
import binascii
import re

#: A member of a dictionary: a byte sequence or an integer; None for a value of another type.
Member = bytes | int | None

_KEY = r"[a-z*][a-z0-9_.*-]*"
_BYTES = r":[A-Za-z0-9+/=]*:"
_NUMBER = r"-?(?:[0-9]{1,12}\.[0-9]{1,3}|[0-9]{1,15})(?![0-9.])"
#: String, display string, byte sequence, boolean, date, number, token.
_ITEM = (
    rf'(?:"(?:[ !#-\[\]-~]|\\["\\])*"|%"(?:[ !#$&-~]|%[0-9a-f]{{2}})*"|{_BYTES}|\?[01]'
    rf"|@-?[0-9]+|{_NUMBER}|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*)"
)
_PARAMETERS = rf"(?:; *{_KEY}(?:={_ITEM})?)*"
_LIST = rf"\( *(?:{_ITEM}{_PARAMETERS}(?: +{_ITEM}{_PARAMETERS})*)? *\)"
_MEMBER = re.compile(
    rf"({_KEY})(?:=(?:({_BYTES})|(-?[0-9]{{1,15}})(?![0-9.])|{_ITEM}|{_LIST}))?{_PARAMETERS}"
)
_COMMA = re.compile(r"[ \t]*,[ \t]*")


def parse_dictionary(text: str) -> dict[str, Member]:
    """The members of a field value by key; of several with one key the last, as RFC 9651 has it.

    Parameters are left out, since the digest fields define none. An empty text is an empty
    dictionary. Raises ValueError for what is no dictionary.
    """
    text, members, at = text.strip(" "), {}, 0
    while at < len(text):
        found = _MEMBER.match(text, at)
        if found is None:
            raise ValueError(f"no member of a dictionary at character {at}")
        members[found[1]] = _value(found[2], found[3])
        at = found.end()
        comma = _COMMA.match(text, at)
        if at < len(text) and (comma is None or comma.end() == len(text)):
            raise ValueError(f"no comma and member at character {at}")
        at = comma.end() if comma else at
    return members


def _value(sequence: str | None, integer: str | None) -> Member:
    if integer is not None:
        return int(integer)
    return None if sequence is None else _decoded(sequence[1:-1])


def _decoded(text: str) -> bytes:
    """Base64, also without its padding; raises ValueError."""
    try:
        return base64.b64decode(
            text if "=" in text else text + "=" * (-len(text) % 4), validate=True
        )
    except binascii.Error as error:
        raise ValueError(str(error)) from None
