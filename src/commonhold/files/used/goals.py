"""Where the things go that one command copies into a folder: no two of them to one place.

Else the second would take the place of the first, unseen: `get 'tower:photos/**/*.jpg' here`, where two folders have a
cat.jpg.
"""

from __future__ import annotations

import unicodedata

from commonhold.errors import Conflict


class Goals:
    """Of one command."""

    def __init__(self) -> None:
        self._taken: dict[int, int] = {}  # hashes of target and source: a glob may fit a hundred thousand

    def taken(self, target: str, source: str) -> bool:
        """Whether this very thing goes there already: it was named twice. Raises Conflict when another one does."""
        place, thing = hash(unicodedata.normalize("NFC", target)), hash(source)
        if (known := self._taken.get(place)) is None:
            self._taken[place] = thing
        elif known != thing:
            name = target.rpartition("/")[2]
            raise Conflict(
                f"“{source}” is left where it is: another “{name}” goes to the same place.",
                "copy it by itself, to another folder",
            )
        return known is not None
