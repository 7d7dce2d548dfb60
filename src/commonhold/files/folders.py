"""The folders of a share that many files lie in, each opened once for all of them. Blocks."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

from commonhold.files.ground import open_folder


def _enter(folder: int, parts: tuple[str, ...]) -> int:
    return open_folder(folder, parts[-1])


class Folders:
    """Open folders by their path, until `close`. Those on the way to them are closed at once."""

    def __init__(self, root: int, enter: Callable[[int, tuple[str, ...]], int] = _enter) -> None:
        """`root` is the open folder of the share; `enter(folder, parts)` opens the last of `parts` in the open folder

        above it, or raises.
        """
        self._enter = enter
        self._opened = ExitStack()
        self._known: dict[tuple[str, ...], int] = {(): root}

    def open(self, parts: tuple[str, ...]) -> int:
        """The folder there. Raises what `enter` does."""
        if (known := self._known.get(parts)) is not None:
            return known
        length = next(n for n in range(len(parts) - 1, -1, -1) if parts[:n] in self._known)
        handle = above = self._known[parts[:length]]
        for number in range(length + 1, len(parts) + 1):
            try:
                inner = self._enter(handle, parts[:number])
            finally:
                if handle != above:
                    os.close(handle)
            handle = inner
        self._opened.callback(os.close, handle)
        self._known[parts] = handle
        return handle

    def close(self) -> None:
        self._opened.close()
