"""Whatever is put, made, copied, moved, described and deleted, in whatever order: a share is what a model of it is."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from commonhold.authority.authority import Verb

from ..files.conftest import Tower
from ..files.test_properties import COLOUR, put, told, update

paths = st.lists(st.sampled_from(["a", "b", "é"]), min_size=1, max_size=3).map(tuple)
depths = st.sampled_from(["0", "infinity"])
overwrites = st.sampled_from(["T", "F"])
FOLDER = None


class SharedTree(RuleBasedStateMachine):
    """`there`: path -> bytes of a file, or FOLDER; `colours`: path -> its property."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._home = tempfile.TemporaryDirectory()
        self.tower = Tower(Path(self._home.name))
        self._runner.run(self.tower.open())
        self.root = self.tower.offer("tree", laptop=Verb.WRITE).root
        self.there: dict[tuple[str, ...], bytes | None] = {(): FOLDER}
        self.colours: dict[tuple[str, ...], str] = {}
        self.number = 0

    def teardown(self) -> None:
        self._runner.run(self.tower.close())
        self._runner.close()
        self._home.cleanup()

    def ask(self, method: str, path: tuple[str, ...], data: bytes | None = None, **headers: str) -> int:
        address = f"/dav/tree/{'/'.join(path)}".replace("é", "%C3%A9")
        return self._runner.run(self.tower.ask("laptop", method, address, data, **headers)).status

    def folder(self, path: tuple[str, ...]) -> bool:
        return path in self.there and self.there[path] is FOLDER

    def below(self, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        return [each for each in self.there if each[: len(path)] == path]

    def forget(self, path: tuple[str, ...]) -> None:
        for each in self.below(path):
            del self.there[each]
            self.colours.pop(each, None)

    @rule(path=paths)
    def put(self, path: tuple[str, ...]) -> None:
        self.number += 1
        data = str(self.number).encode()
        status = self.ask("PUT", path, data)
        if self.folder(path) or not self.folder(path[:-1]):
            assert status == 409
        else:
            assert status == (204 if path in self.there else 201)
            self.there[path] = data

    @rule(path=paths)
    def make(self, path: tuple[str, ...]) -> None:
        status = self.ask("MKCOL", path)
        if path in self.there:
            assert status == 405
        elif not self.folder(path[:-1]):
            assert status == 409
        else:
            assert status == 201
            self.there[path] = FOLDER

    @rule(path=paths)
    def delete(self, path: tuple[str, ...]) -> None:
        assert self.ask("DELETE", path) == (204 if path in self.there else 404)
        self.forget(path)

    @rule(path=paths)
    def describe(self, path: tuple[str, ...]) -> None:
        self.number += 1
        status = self.ask("PROPPATCH", path, update(put(f"<x:colour>{self.number}</x:colour>")))
        assert status == (207 if path in self.there else 404)
        if status == 207:
            self.colours[path] = str(self.number)

    @rule(path=paths, to=paths, overwrite=overwrites, depth=depths)
    def copy(self, path: tuple[str, ...], to: tuple[str, ...], overwrite: str, depth: str) -> None:
        self.bring("COPY", path, to, overwrite, depth)

    @rule(path=paths, to=paths, overwrite=overwrites)
    def move(self, path: tuple[str, ...], to: tuple[str, ...], overwrite: str) -> None:
        self.bring("MOVE", path, to, overwrite, "infinity")

    def bring(self, method: str, path: tuple[str, ...], to: tuple[str, ...], overwrite: str, depth: str) -> None:
        where = f"/dav/tree/{'/'.join(to)}".replace("é", "%C3%A9")
        status = self.ask(method, path, Destination=where, Overwrite=overwrite, Depth=depth)
        inside = to[: len(path)] == path or path[: len(to)] == to
        if inside or path not in self.there or not self.folder(to[:-1]) or (to in self.there and overwrite == "F"):
            assert status in {403, 404, 409, 412}
            return
        assert status == (204 if to in self.there else 201)
        self.forget(to)
        for each in [path] if depth == "0" else self.below(path):
            there = (*to, *each[len(path) :])
            self.there[there] = self.there[each]
            if each in self.colours:
                self.colours[there] = self.colours[each]
        if method == "MOVE":
            self.forget(path)

    @invariant()
    def the_disk_is_the_model(self) -> None:
        found: dict[tuple[str, ...], bytes | None] = {(): FOLDER}
        for each in self.root.rglob("*"):
            parts = each.relative_to(self.root).parts
            if parts[0] != ".commonhold":
                found[parts] = each.read_bytes() if each.is_file() else FOLDER
        assert found == self.there

    @invariant()
    def every_folder_tells_its_properties(self) -> None:
        seen = {}
        for path in [each for each in self.there if self.folder(each)]:
            address = f"/dav/tree/{'/'.join(path)}".replace("é", "%C3%A9")
            answer = self._runner.run(self.tower.ask("laptop", "PROPFIND", address, Depth="1"))
            for where, stats in told(answer.body).items():
                if COLOUR in stats[200]:
                    parts = where.removeprefix("/dav/tree/").rstrip("/").replace("%C3%A9", "é")
                    seen[tuple(parts.split("/")) if parts else ()] = stats[200][COLOUR].text
        assert seen == self.colours


TestSharedTree = SharedTree.TestCase
TestSharedTree.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
