"""Characters that are invisible or change how a text is displayed."""

#: Control characters C0 and C1, for a character class of a regular expression.
CONTROLS = "\x00-\x1f\x7f-\x9f"
#: The characters with the Unicode property `Bidi_Control`: they turn the direction of text, so that
#: `exe.txt` is displayed for `txt.exe`.
DIRECTION_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
#: Line separators, and halves of surrogate pairs.
SEPARATORS, SURROGATES = "\u2028\u2029", "\ud800-\udfff"
