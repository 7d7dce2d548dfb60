"""Symbolic links in a share: nobody meets them through the network, so its owner should hear of them.

Opens folders inside a share, as files/ground.py does, for nobody but its owner. Blocks (disk).
"""

from __future__ import annotations

import os
from collections import deque

from commonhold.errors import CommonholdError
from commonhold.files.ground import Ground
from commonhold.names import HIDDEN, SharePath

MOST_NAMES = 10_000  # of one share that are looked at, those nearest to its top first: 20 ms
ENOUGH = 3  # links that are told of


def links(ground: Ground) -> list[str]:
    """Where some symbolic links lie in that share; none when there are none, or they lie too deep to be met soon."""
    found: list[str] = []
    folders, seen = deque([SharePath()]), 0
    while folders and seen < MOST_NAMES and len(found) < ENOUGH:
        at = folders.popleft()
        try:
            with ground.folder(at) as folder, os.scandir(folder) as items:
                for item in items:
                    seen += 1
                    if seen > MOST_NAMES or len(found) == ENOUGH:
                        break
                    if item.is_symlink():
                        found.append(str(at / item.name))
                    elif item.is_dir(follow_symlinks=False) and item.name != HIDDEN:
                        folders.append(at / item.name)
        except (OSError, CommonholdError):  # no right to look, gone meanwhile, or a name that no path can hold
            continue
    return found
