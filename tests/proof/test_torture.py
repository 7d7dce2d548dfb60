"""`kill -9` of a real node at random moments under load: what was acknowledged stays, whole, and nothing else does."""

from __future__ import annotations

import asyncio
import os
import secrets
import time

from commonhold.files.renaming import exchange

from .rig import Rig, Vanishing
from .torture import Torture

KILLS = int(os.environ.get("KILLS", "12"))  # `make torture`: 1,000
SEED = int(os.environ.get("SEED") or secrets.randbelow(2**32))


def test_a_node_that_is_killed_at_any_moment_loses_and_tears_nothing(rig: Rig):
    print(f"SEED={SEED}")  # what is asked, and when it is killed; what the machine does meanwhile differs each time
    torture = Torture(rig, SEED)
    began = time.monotonic()
    try:
        for kill in range(1, KILLS + 1):
            asyncio.run(torture.round())
            if kill % 25 == 0:
                seconds = time.monotonic() - began
                print(f"{kill} kills, {torture.acknowledged} acknowledged, {seconds:.0f} s", flush=True)
    finally:
        torture.onlooker.end()
    assert not torture.onlooker.troubles, torture.onlooker.troubles
    assert torture.onlooker.looks > KILLS
    assert torture.acknowledged > KILLS


def test_who_watches_a_name_sees_it_vanish_and_is_not_misled_by_what_replaces_it(tmp_path):
    name, other, away = (tmp_path / "here" / "name", tmp_path / "other", tmp_path / "away")
    name.parent.mkdir()
    watching = Vanishing(name.parent)
    here, there = (os.open(each, os.O_RDONLY) for each in (name.parent, tmp_path))
    for file in (name, other):
        file.write_text("")
    assert exchange(there, "other", here, "name")
    other.rename(name)
    assert watching.names() == []
    name.rename(away)
    away.rename(name)
    assert watching.names() == ["name"]
    name.unlink()
    assert watching.names() == ["name"]
    for handle in (here, there):
        os.close(handle)
    watching.close()
