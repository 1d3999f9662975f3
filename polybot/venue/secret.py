"""Values that must not be seen: keys and credentials."""

from __future__ import annotations

import base64
import hmac
from typing import NoReturn

import attrs


class Secret:
    """A text that prints as stars; the value leaves only by `reveal()`, easy to grep for."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    # Hashable secrets end up as dict keys, and dict keys end up in reprs and in timing.
    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


@attrs.frozen
class Credentials:
    """An API key of the venue (clob.md 2). `address` is the wallet that signs, not the funder."""

    address: str
    api_key: str
    secret: Secret
    passphrase: Secret

    @property
    def usable(self) -> bool:
        """Whether requests can be signed and sent with them: whoever made them may lack one."""
        signs = isinstance(self.secret.reveal(), str) and is_base64(self.secret)
        return signs and travels(self.api_key) and travels(self.passphrase.reveal())


def hmac_key(secret: Secret) -> bytes:
    """The bytes of an API secret (clob.md 2.2). Raises ValueError unless it is base64."""
    encoded = secret.reveal()
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def is_base64(secret: Secret) -> bool:
    """Whether `secret` has any bytes to sign with."""
    try:
        return bool(hmac_key(secret))
    except ValueError:
        return False


def travels(text: object) -> bool:
    """Whether it can be sent as a header: a text of ASCII that shows, without blanks."""
    if not isinstance(text, str) or not text:
        return False
    return text.isascii() and text.isprintable() and " " not in text
