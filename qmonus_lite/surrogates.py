"""Lone surrogates in text of scripts: halves of a pair, which no encoding has."""

#: Why text with lone surrogates is refused.
NO_CHARACTER = "half of a surrogate pair is no character"


def has_surrogates(text: str) -> bool:
    """Whether the text has lone surrogates, so that it cannot be encoded."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def escape_surrogates(text: str) -> str:
    """The text with each lone surrogate written as its JSON escape, `\\ud83d`; it is encodable."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
