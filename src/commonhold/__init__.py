"""Commonhold: the computers of a home, a lab or a small office as one network that shares disk and computing.

`connect()` is the door to the Python API. It is loaded late, so that `import commonhold` and
`commonhold --help` cost milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commonhold.api import Network, connect

__version__ = "0.1.0"
__all__ = ["Network", "__version__", "connect"]


def __getattr__(name: str) -> object:
    if name in {"Network", "connect"}:
        from commonhold import api  # noqa: PLC0415 - late: the promise above

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
