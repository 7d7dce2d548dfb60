"""Whatever is stored, replaced, deleted and cut off, in whatever order: the ledger says what the disk says."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.authority import Door, Verb
from commonhold.errors import CommonholdError
from commonhold.files.entry import Placed
from commonhold.files.quota import Limit, Payer, QuotaLedger, Stored
from commonhold.files.share import Share
from commonhold.names import SharePath

from ..authority.suite import ANN, BOB, CAROL, Casa
from ..files.conftest import Folder, catalogue

PEOPLE = {"tower": Payer(None, "ann"), "laptop": Payer(BOB, "bob"), "desk": Payer(CAROL, "carol")}
LIMIT = 100

paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=2).map("/".join)
who = st.sampled_from(sorted(PEOPLE))
steps = st.one_of(
    st.tuples(st.just("put"), who, paths, st.integers(0, 80), st.sampled_from(["ends", "breaks", "dies"])),
    st.tuples(st.just("mkdir"), who, paths),
    st.tuples(st.just("delete"), who, paths),
    st.tuples(st.just("deleted on the disk"), paths),
    st.tuples(st.just("written on the disk"), paths, st.integers(0, 80)),
)


class World:
    """One share, and its ledger on a disk."""

    def __init__(self, folder: Path) -> None:
        (folder / "photos").mkdir()
        share = Share(Door("share", "5a17" * 8, "photos", ANN), folder / "photos", catalogue())
        self.folder = Folder(share, Casa("peer"))
        self.file = folder / "ledger.db"
        self.ledger = self.open()
        for person in (BOB, CAROL):
            self.ledger.set_limit(person, Limit(LIMIT, 6))

    def open(self) -> QuotaLedger:
        share = self.folder.share
        return QuotaLedger(self.file, lambda _, path: share.weigh(SharePath.parse(path)), lambda: "ann")

    def put(self, who: str, path: str, size: int, end: str) -> None:
        share, door = self.folder.share, self.folder.share.door.id
        upload = share.write(self.folder.permit(Verb.WRITE, path), size)
        try:
            with self.ledger.begin_anew(PEOPLE[who], door, path, size) as storing:
                upload.write(b"x" * size)
                self.ledger.note(storing, upload.size, upload.inode)
                if end == "breaks":
                    self.ledger.settle(storing, [])
                    return
                entry = upload.commit()
                if end == "dies":  # between the file's name and the entry: a process that is gone writes nothing
                    self.ledger.close()
                    self.ledger = self.open()
                else:
                    self.ledger.settle(storing, [Placed(entry.path, upload.size, upload.inode)])
        finally:
            upload.abort()

    def mkdir(self, who: str, path: str) -> None:
        share = self.folder.share
        with (
            self.ledger.begin_anew(PEOPLE[who], share.door.id, path, 0) as storing,
            storing.placing(0) as placed,
        ):
            placed.extend(share.mkdir(self.folder.permit(Verb.WRITE, path)))

    def delete(self, _who: str, path: str) -> None:
        self.folder.share.delete(self.folder.permit(Verb.WRITE, path))
        self.ledger.release(self.folder.share.door.id, path)

    def deleted_on_the_disk(self, path: str) -> None:
        place = self.folder.root / path
        if place.is_dir():
            shutil.rmtree(place)
        with suppress(OSError):
            place.unlink()

    def written_on_the_disk(self, path: str, size: int) -> None:
        with suppress(OSError):
            (self.folder.root / path).write_bytes(b"y" * size)

    def used(self) -> dict[str, Stored]:
        return {person: self.ledger.used(person) for person in (BOB, CAROL, ANN)}


@given(st.lists(steps, max_size=12))
@settings(max_examples=150, deadline=None)
def test_the_ledger_equals_a_count_on_the_disk_after_any_sequence(done):
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name))
        touched = False
        for what, *how in done:
            before = world.used()
            with suppress(CommonholdError):
                getattr(world, what.replace(" ", "_"))(*how)
            touched = touched or what.endswith("disk")
            if not what.endswith("disk"):
                after = world.used()
                for person in (BOB, CAROL):
                    grew = after[person].bytes > before[person].bytes
                    assert touched or not grew or after[person].bytes <= LIMIT
        if not touched:
            before = world.used()
            world.ledger.recount()
            assert world.used() == before
        world.ledger.recount()
        counted = world.used()
        assert counted[ANN] == Stored()
        world.ledger.close()
        world.ledger = world.open()
        assert world.used() == counted, "and after a restart"
        files = sum(1 for each in world.folder.root.rglob("*") if ".commonhold" not in each.parts)
        assert sum(used.files for used in counted.values()) <= files
        assert not world.ledger._held or set(world.ledger._held.values()) == {Stored()}
        world.ledger.close()
