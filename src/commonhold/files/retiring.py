"""How whatever had a name in a share is let go: it is kept as a version, in `.commonhold/versions/STORE/ID`.

An overwrite links the old file there, then lets the new one trade places with the name (renameat2), so that the name
never vanishes and nothing that a program of the owner put there meanwhile is lost; a delete is a rename. What had
another name until then, being moved or a version, has both for a moment. Where there can be no link the two trade
places at once, and only where the disk has neither is the old file copied. The row is on the disk before the first
step and settled after the last: what a crash leaves in between is put right when the share is offered next
(recovering.py). Nothing here forgets a byte that had a name. Everything blocks, and raises OSError as
open(2) does.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from commonhold.authority.authority import Permit, Subject
from commonhold.files.disk import sync_folder
from commonhold.files.ground import FILE, NEW_FILE, Ground, copy_status
from commonhold.files.nameless import NO_LINKS
from commonhold.files.renaming import exchange, rename_new
from commonhold.files.versions import Versions, Why
from commonhold.names import SharePath
from commonhold.trees import erase_in

VERSIONS = "versions"  # in our own folder
BESIDE = ".late"  # what had the name last, where nothing could be written down of it
STAGED = ".new"  # what is to get a name, while it waits beside the version
CHUNK = 2**20

Found = tuple[str, os.stat_result]


class Retiring:
    """Of one share; without `versions`, as in the folder of a job, nothing is kept."""

    def __init__(self, ground: Ground, versions: Versions | None) -> None:
        self._ground, self.versions = ground, versions

    @contextmanager
    def store(self) -> Iterator[int]:
        """The open folder of what is kept."""
        assert self.versions is not None  # noqa: S101 - who keeps nothing opens nothing
        with self._ground.own(VERSIONS, self.versions.store) as store:
            yield store

    def replace(
        self, source: int, name: str, folder: int, before: Found, permit: Permit, path: SharePath | None = None,
        why: Why = "overwritten", *, temporary: bool = True, origin: str = "",
    ) -> None:  # fmt: skip
        """What is called `name` in the open folder `source` gets the name `before` in `folder`; that is kept.

        `path` is where that lies, if not at the permit's path. `temporary`: nobody misses `name` after a crash;
        else its `origin` is a Deed's, of what is moved.
        The caller holds the lock of the name, has synced what is new, and syncs `folder` after.
        """
        old, new = before[1], os.stat(name, dir_fd=source, follow_symlinks=False)
        if same_file(old, new):
            os.unlink(name, dir_fd=source)  # two names of one file: rename(2) would do nothing
        elif self.versions is None:
            self._replace_for_good(source, name, folder, before, new)
        else:
            with self.store() as store:
                version = self.versions.begin(str(path or permit.path), old, why, permit.subject, origin)
                try:
                    two = self._trade(source, name, folder, before, new, store, version, temporary=temporary)
                except BaseException:
                    self._give_up(version)
                    raise
                kept = os.stat(version, dir_fd=store, follow_symlinks=False)
                try:
                    if two:
                        sync_folder(folder)
                        self._leave(source, name, new, store, version)
                finally:
                    self._settle(version, kept, new)

    def retire(
        self, folder: int, before: Found, permit: Permit, path: SharePath | None = None, why: Why = "deleted"
    ) -> str:
        """What has that name in the open folder loses it, in one step. Returns the version; empty: it is gone for good.

        The caller holds the lock of the name, and syncs `folder` after.
        """
        name, old = before
        if self.versions is None:
            self._remove(folder, before)
            return ""
        with self.store() as store:
            version = self.versions.begin(str(path or permit.path), old, why, permit.subject)
            try:
                os.rename(name, version, src_dir_fd=folder, dst_dir_fd=store)
            except BaseException:
                self._give_up(version)
                raise
            sync_folder(store)
            kept = os.stat(version, dir_fd=store, follow_symlinks=False)
        self._settle(version, kept, None)
        return version

    def made(self, path: SharePath, status: os.stat_result, subject: Subject) -> None:
        """Something new has that name: `undo` takes it away again."""
        if self.versions is not None:
            with suppress(sqlite3.Error):
                self.versions.note(str(path), status, "created", subject)

    def moved(self, old: SharePath, new: SharePath, status: os.stat_result, subject: Subject) -> None:
        """What had that path has another one: its history follows."""
        if self.versions is not None:
            with suppress(sqlite3.Error):
                self.versions.note(str(old), status, "moved", subject, str(new))

    def brought(self, origin: str, path: SharePath, status: os.stat_result, subject: Subject) -> None:
        """It came from another share of this computer: `undo` takes it back there."""
        if self.versions is not None:
            with suppress(sqlite3.Error):
                self.versions.note(str(path), status, "moved", subject, origin=origin)

    # -- the steps

    def _trade(
        self, source: int, name: str, folder: int, before: Found, new: os.stat_result, store: int, version: str, *,
        temporary: bool,
    ) -> bool:  # fmt: skip
        """Returns whether what came has its former name, too."""
        wanted, old = before
        second = False
        files = stat.S_ISREG(old.st_mode) and stat.S_ISREG(new.st_mode)
        if files and _linked(folder, wanted, store, version):
            sync_folder(store)
            staged, leaves = version + STAGED, not temporary and os.access(".", os.W_OK, dir_fd=source)
            second = leaves and _linked(source, name, store, staged)
            at, comes = (store, staged) if second else (source, name)
            try:
                traded = _traded(at, comes, folder, wanted)
                if not traded:
                    os.rename(comes, wanted, src_dir_fd=at, dst_dir_fd=folder)
            except BaseException:
                if second:
                    os.unlink(comes, dir_fd=at)
                os.unlink(version, dir_fd=store)
                raise
            if traded:
                self._keep_late(at, comes, store, version)
        elif not self._exchanged(source, name, folder, wanted, store, version, temporary=temporary):
            if files:
                _copy(folder, wanted, store, version)
            else:  # the best there is: for an instant nothing has the name
                os.rename(wanted, version, src_dir_fd=folder, dst_dir_fd=store)
            try:
                os.rename(name, wanted, src_dir_fd=source, dst_dir_fd=folder)
            except BaseException:
                if files:
                    os.unlink(version, dir_fd=store)
                else:
                    os.rename(version, wanted, src_dir_fd=store, dst_dir_fd=folder)
                raise
        sync_folder(store)
        return second

    def _keep_late(self, source: int, name: str, store: int, version: str) -> None:
        """What had the name is called `name` now: the version itself, or what a program of the owner saved by rename

        when that was linked already. Then it is kept, too: a version of its own.
        """
        out, linked = (
            os.stat(each, dir_fd=at, follow_symlinks=False) for each, at in ((name, source), (version, store))
        )
        if same_file(out, linked):
            os.unlink(name, dir_fd=source)
        else:
            self.keep_beside(source, name, out, store, version)

    def keep_beside(self, source: int, name: str, out: os.stat_result, store: int, version: str) -> None:
        """What is called `name` is a version, too, of the same deed as that one."""
        assert self.versions is not None  # noqa: S101 - what is linked is kept
        late = version + BESIDE  # bytes come first: where no row can be written, they lie beside the version
        with suppress(sqlite3.Error):
            late = self.versions.begin_beside(version, out)
        os.rename(name, late, src_dir_fd=source, dst_dir_fd=store)
        self._settle(late, out, None)

    def _leave(self, source: int, name: str, new: os.stat_result, store: int, version: str) -> None:
        """What came has its new name, on the disk, and loses the former; what a program saved there meanwhile stays."""
        staged = version + STAGED
        try:
            os.rename(name, staged, src_dir_fd=source, dst_dir_fd=store)
        except FileNotFoundError:
            return
        out = os.stat(staged, dir_fd=store, follow_symlinks=False)
        if same_file(out, new):
            os.unlink(staged, dir_fd=store)
            return
        try:
            rename_new(store, staged, source, name)
        except FileExistsError:
            self.keep_beside(store, staged, out, store, version)

    @staticmethod
    def _exchanged(
        source: int, name: str, folder: int, wanted: str, store: int, version: str, *, temporary: bool
    ) -> bool:
        if not temporary:  # after a crash both have a name: what was to be kept has the one of what replaced it
            if not exchange(source, name, folder, wanted):
                return False
            os.rename(name, version, src_dir_fd=source, dst_dir_fd=store)
            return True
        staged = version + STAGED
        os.rename(name, staged, src_dir_fd=source, dst_dir_fd=store)
        done = False
        try:
            done = exchange(store, staged, folder, wanted)
        finally:
            if not done:
                os.rename(staged, name, src_dir_fd=store, dst_dir_fd=source)
        if done:
            os.rename(staged, version, src_dir_fd=store, dst_dir_fd=store)
        return done

    def _replace_for_good(self, source: int, name: str, folder: int, before: Found, new: os.stat_result) -> None:
        wanted, old = before
        if stat.S_ISREG(old.st_mode) and stat.S_ISREG(new.st_mode):
            os.rename(name, wanted, src_dir_fd=source, dst_dir_fd=folder)
        elif exchange(source, name, folder, wanted):
            self._remove(source, (name, old))
        else:
            self._remove(folder, before)
            os.rename(name, wanted, src_dir_fd=source, dst_dir_fd=folder)

    def _remove(self, folder: int, before: Found) -> None:
        name, old = before
        if not stat.S_ISDIR(old.st_mode):
            os.unlink(name, dir_fd=folder)
            return
        moved = self._ground.move_away(folder, name)
        sync_folder(folder)
        with self._ground.workshop() as workshop:
            erase_in(workshop, moved)

    def _give_up(self, version: str) -> None:
        """Nothing was kept. A row that stays is looked at when the share is offered next."""
        if self.versions is not None:
            with suppress(sqlite3.Error):
                self.versions.forget([version])

    def _settle(self, version: str, kept: os.stat_result, after: os.stat_result | None) -> None:
        if self.versions is not None:
            with suppress(sqlite3.Error):
                self.versions.settle(version, kept, after)


def same_file(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _traded(source: int, name: str, folder: int, wanted: str) -> bool:
    """Let the two names trade places; False where the disk cannot, or nothing has the name any more.

    rename(2) would do, but for a program of the owner that saves by rename in the same moment: what it saved would be
    gone for good.
    """
    try:
        return exchange(source, name, folder, wanted)
    except FileNotFoundError:
        return False


def _linked(folder: int, name: str, store: int, version: str) -> bool:
    """Give the file a second name; False where there is no such thing."""
    try:
        os.link(name, version, src_dir_fd=folder, dst_dir_fd=store, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return False
    return True


def _copy(folder: int, name: str, store: int, version: str) -> None:
    source = os.open(name, FILE, dir_fd=folder)
    try:
        copy = os.open(version, NEW_FILE, 0o600, dir_fd=store)
        try:
            while data := os.read(source, CHUNK):
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(copy, rest) :]
            copy_status(source, copy)
            os.fsync(copy)
        except BaseException:
            os.unlink(version, dir_fd=store)
            raise
        finally:
            os.close(copy)
    finally:
        os.close(source)
    sync_folder(store)


def erase_version(store: int, name: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        erase_in(store, name)
    else:
        os.unlink(name, dir_fd=store)
