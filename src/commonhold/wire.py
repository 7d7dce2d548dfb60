"""JSON as computers, programs and files exchange it: typed records, checked as they are parsed. *Pure.*

Names, paths and ids are written as the text that they are, and made anew when read: making one is
its check (`names`), so a hostile one raises WrongUsage here.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def to_json(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


def from_json(data: bytes | str, kind: type[T]) -> T:
    """Raises msgspec.MsgspecError or UnicodeDecodeError (both ValueErrors) for what is no such document."""
    return msgspec.json.decode(data, type=kind, dec_hook=_made)


def convert(value: object, kind: type[T]) -> T:
    """From what a JSON parser gave. Raises msgspec.ValidationError."""
    return msgspec.convert(value, kind, dec_hook=_made)


def _made(kind: type[Any], value: object) -> Any:
    """A name or id from its text."""
    if isinstance(value, str) and issubclass(kind, str):
        return kind(value)
    raise ValueError(f"{type(value).__name__} is no {kind.__name__}")
