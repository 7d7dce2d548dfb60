"""Whatever is locked, renewed, released, changed and restarted, in any order: the table says what a plain list does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from commonhold.files.locks import Change, How, Lock, Locks, place
from commonhold.names import SharePath

from ..files.conftest import catalogue

PERSONS = ["ann", "bob"]
paths = st.lists(st.sampled_from("ab"), max_size=3).map("/".join)


def at(path: str) -> tuple[str, ...]:
    return place(Path("/srv"), SharePath.parse(path))


def inside(path: str, folder: str) -> bool:
    """Whether it is that folder, or lies below it: on the text of paths, which the table never looks at."""
    return f"{path}/".startswith(f"{folder}/") or not folder


def parent(path: str) -> str | None:
    return path.rpartition("/")[0] if path else None


class Table(RuleBasedStateMachine):
    locks = Bundle("locks")

    def __init__(self) -> None:
        super().__init__()
        self.time = datetime(2026, 11, 24, tzinfo=UTC)
        self.kept = catalogue()
        self.table = Locks(self.kept, lambda: self.time)
        self.model: list[Lock] = []
        self.number = 0

    def living(self) -> list[Lock]:
        return [lock for lock in self.model if lock.until > self.time]

    def on(self, path: str) -> list[Lock]:
        return [each for each in self.living() if each.path == path or (each.deep and inside(path, each.path))]

    @rule(target=locks, path=paths, who=st.sampled_from(PERSONS), deep=st.booleans(), shared=st.booleans(),
          seconds=st.integers(1, 100))  # fmt: skip
    def lock(self, path, who, deep, shared, seconds):
        self.number += 1
        until = self.time + timedelta(seconds=seconds)
        wished = Lock(f"urn:{self.number}", "1", "/srv", path, deep, shared, who, who, "", until)
        near = self.on(path) + [each for each in self.living() if deep and inside(each.path, path)]
        in_the_way = {each.token for each in near if not (shared and each.shared)}
        assert {each.token for each in self.table.hold(wished)} == in_the_way
        if not in_the_way:
            self.table.keep(wished)
            self.model.append(wished)
        return wished.token

    @rule(token=locks, seconds=st.integers(1, 100))
    def renew(self, token, seconds):
        until = self.time + timedelta(seconds=seconds)
        renewed = self.table.renew(token, until)
        alive = [each for each in self.living() if each.token == token]
        assert (renewed is not None) == bool(alive)
        if renewed is not None:
            assert renewed.until == until
            self.model = [renewed if each.token == token else each for each in self.model]

    @rule(token=consumes(locks))
    def release(self, token):
        if (lock := self.table.find(token)) is not None:
            self.table.release(lock)
        self.model = [each for each in self.model if each.token != token]

    @rule(path=paths, who=st.sampled_from(PERSONS), how=st.sampled_from(How), shown=st.lists(locks, max_size=2))
    def change(self, path, who, how, shown):
        touched = [path]
        if how is not How.CHANGES and (folder := parent(path)) is not None:
            touched.append(folder)
        if how is How.GOES:
            touched += [each.path for each in self.living() if inside(each.path, path)]
        free = all(
            not self.on(each) or any(lock.holder == who and lock.token in shown for lock in self.on(each))
            for each in touched
        )
        change = Change(who, frozenset(shown), ((at(path), how),))
        forbidding = self.table.begin(change)
        assert (forbidding is None) == free
        if free:
            self.table.end(change, done=True)
            if how is How.GOES:
                self.model = [each for each in self.model if not inside(each.path, path)]

    @rule(seconds=st.integers(1, 200))
    def wait(self, seconds):
        self.time += timedelta(seconds=seconds)

    @rule()
    def restart(self):
        self.table = Locks(self.kept, lambda: self.time)

    @rule(who=st.sampled_from(PERSONS))
    def leave(self, who):
        self.table.forget(lambda lock: lock.holder == who)
        self.model = [each for each in self.model if each.holder != who]

    @invariant()
    def every_place_has_the_locks_that_it_has(self):
        for path in ("", "a", "a/b", "b/b/a"):
            assert sorted(each.token for each in self.table.over(at(path))) == sorted(e.token for e in self.on(path))


TestTable = Table.TestCase
TestTable.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
