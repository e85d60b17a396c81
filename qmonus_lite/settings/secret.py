"""Secret values of settings: never flags, never printed."""

from dataclasses import dataclass, field

#: Minimum length of a secret in characters.
MIN_SECRET_LENGTH = 32


class CredentialInValue(ValueError):
    """The value contains a credential, so an error message must not repeat it."""


@dataclass(frozen=True)
class Secret:
    """A secret text; `repr` and `str` do not contain it."""

    value: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Secret":
        """The secret with this text; raises CredentialInValue if it is too short."""
        if len(text) < MIN_SECRET_LENGTH:
            raise CredentialInValue(f"shorter than {MIN_SECRET_LENGTH} characters")
        return cls(text)
