"""A file on its way into a share."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from commonhold.authority.authority import Permit
from commonhold.errors import Conflict, Damaged, NotFound
from commonhold.files.disk import begin, explained
from commonhold.files.entry import NONE, Conditions, Entry
from commonhold.files.ground import Ground
from commonhold.files.placing import Made, Placing
from commonhold.files.straight import Straight, in_room

CHECKED = 2**20  # bytes read at a time of what had come
NOTED_EVERY = 64 * 2**20  # bytes
BESIDE = 256 * 1024  # bytes from which they are hashed while the disk takes them
BEGUN_EVERY = 8 * 2**20  # bytes, which the disk may begin with while the next ones come

_hashing = ThreadPoolExecutor(4, thread_name_prefix="hash")


class Upload:
    """A file on its way in, beside the others: nobody sees it before `commit`, and nothing stays of it after `abort`.

    Methods block; they may be called from any thread, one after the other or not.
    """

    def __init__(
        self,
        ground: Ground,
        placing: Placing,
        permit: Permit,
        make_room: Callable[[int], bool],
        *,
        unseen: bool,
        temporary: tuple[str, int] | None = None,
    ) -> None:
        """`make_room(bytes)` is asked on a full disk, and tells whether it did.

        `temporary`: the name of its file in the workshop, and that file, open.
        """
        self._temporary, self._handle = temporary or ground.new_file()
        self.created = False  # after commit: whether nothing had that name before
        self.size = 0
        self.modified: int | None = None  # nanoseconds since 1970: the time of change that the file is to have
        self.made: Made = []  # unseen: folders on the way, and the file itself
        self.inode = str(os.fstat(self._handle).st_ino)  # of the file, under whatever name
        self._ground, self._placing = ground, placing
        self._permit, self._make_room = permit, make_room
        self._unseen = unseen
        self._hash = hashlib.sha256()
        self._straight = Straight(self._handle)
        self._busy = threading.Lock()
        self._begun = 0  # bytes that the disk was told of

    @property
    def sha256(self) -> bytes:
        """The digest of what was written so far."""
        return self._hash.digest()

    def write(self, *pieces: bytes | memoryview) -> None:
        """Append. Raises NoSpace when the disk is full; the upload is then over."""
        with self._busy, self._ending_on_error():
            for data in in_room(pieces):
                hashing = _hashing.submit(self._hash.update, data) if len(data) > BESIDE else None
                try:
                    self._append(data)
                finally:
                    if hashing:
                        hashing.result()
                    else:
                        self._hash.update(data)
            if self.size - self._begun >= BEGUN_EVERY:
                begin(self._handle, self._begun, self.size)
                self._begun = self.size

    def _append(self, rest: memoryview) -> None:
        while rest:
            try:
                written = self._straight.write(rest, self.size)
            except OSError as error:
                if error.errno == errno.ENOSPC and self._make_room(len(rest)):
                    continue
                raise
            rest = rest[written:]
            self.size += written

    def commit(self, conditions: Conditions = NONE, sha256: bytes | None = None) -> Entry:
        """Put the file in its place: when this returns, it is there and on the disk; when it raises, nothing changed.

        Raises Damaged when `sha256` is given and is not that of what was written, Changed when a condition
        fails, Conflict when the permit is to add only and something of that name exists.
        """
        with self._busy, self._ending_on_error():
            if sha256 is not None and sha256 != self._hash.digest():
                raise Damaged(f"“{self._permit.path}” arrived damaged; nothing was changed.", "send it again")
            if self.modified is not None:
                os.utime(self._handle, ns=(self.modified, self.modified))
            what = self._temporary, self._handle, self._permit, conditions
            if self._unseen:
                entry, self.created = self._placing.drop(*what, self.made)
            else:
                entry, self.created = self._placing.place(*what)
            os.close(self._handle)
            self._handle = -1
            return entry

    def abort(self) -> None:
        """Leave nothing; after `commit` there is nothing to do."""
        with self._busy:
            self._end()

    @contextmanager
    def _ending_on_error(self) -> Iterator[None]:
        if self._handle < 0:
            raise Conflict(f"The upload of “{self._permit.path}” is over.", "send it again")
        try:
            with explained(self._permit.path, self._permit.door.name):
                yield
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        if self._handle >= 0:
            with suppress(OSError, NotFound):  # the disk is gone: the next one who opens the share tidies up
                self._ground.drop_file(self._temporary)
            os.close(self._handle)
            self._handle = -1


class Resumed(Upload):
    """An upload that may break off and go on later, of `size` bytes that are there already.

    `note(size)` is to remember how much is on the disk for certain. Opening it reads what is there, for its digest.
    """

    def __init__(
        self,
        ground: Ground,
        placing: Placing,
        permit: Permit,
        name: str,
        size: int,
        note: Callable[[int], None],
        make_room: Callable[[int], bool],
        *,
        unseen: bool,
    ) -> None:
        handle = ground.unfinished_file(name, size)
        super().__init__(ground, placing, permit, make_room, unseen=unseen, temporary=(name, handle))
        self._note, self._noted = note, size
        try:
            while data := os.read(handle, CHECKED):
                self._hash.update(data)
                self.size += len(data)
            if self.size != size:
                raise Damaged(f"What had come of “{permit.path}” is not there any more.", "send it again")
        except BaseException:
            self.abort()
            raise

    @property
    def over(self) -> bool:
        return self._handle < 0

    def write(self, *pieces: bytes | memoryview) -> None:
        """As an upload, and now and then what has come is brought to the disk and noted."""
        super().write(*pieces)
        if self.size - self._noted >= NOTED_EVERY:
            with self._busy, self._ending_on_error():
                os.fsync(self._handle)
                self._note(self.size)
                self._noted = self.size

    def leave(self) -> bool:
        """It breaks off, and what has come stays; whether it does."""
        with self._busy:
            if self._handle < 0:
                return False
            try:
                os.fsync(self._handle)
                self._note(self.size)
            finally:
                os.close(self._handle)
                self._handle = -1
            return True
