"""What a death left halfway when something was about to lose its name: put right when the share is offered next.

Of each row that is not settled: its version is one, or was never needed; and what was on its way has one name.
Everything blocks, and raises OSError as open(2) does.
"""

from __future__ import annotations

import os

from commonhold.files.disk import sync_folder
from commonhold.files.ground import Ground, look
from commonhold.files.retiring import STAGED, Retiring, erase_version, same_file
from commonhold.files.versions import Deed, Versions
from commonhold.names import SharePath


def recover(ground: Ground, retiring: Retiring, versions: Versions) -> None:
    """Put right what lies in that share, and is kept of it."""
    if not (rows := versions.find("NOT settled")):
        return
    there = {row.id: ground.there(SharePath.parse(row.path)) for row in rows}
    named = {(each.st_dev, each.st_ino) for each in there.values() if each is not None}
    with retiring.store() as store:
        for row in rows:
            _decide_staged(retiring, store, row, there[row.id])
            if row.origin:
                _leave(versions, row, there[row.id])
            kept = look(store, row.id)
            if kept is None:
                versions.forget([row.id])
            elif (kept[1].st_dev, kept[1].st_ino) in named:  # it has its name still, or again: this is a second one
                versions.forget([row.id])
                os.unlink(row.id, dir_fd=store)
            else:
                versions.settle(row.id, kept[1], there[row.id])


def _decide_staged(retiring: Retiring, store: int, row: Deed, there: os.stat_result | None) -> None:
    """What was to get the name, or had it last."""
    staged = row.id + STAGED
    if (found := look(store, staged)) is None:
        return
    never = there is not None and str(there.st_ino) == row.inode  # they had not traded places
    if str(found[1].st_ino) == row.inode:
        if look(store, row.id) is None:
            os.rename(staged, row.id, src_dir_fd=store, dst_dir_fd=store)
        else:
            os.unlink(staged, dir_fd=store)
    elif never or (there is not None and same_file(found[1], there)):
        erase_version(store, staged, found[1])  # was acknowledged to nobody, or has its name
    else:
        retiring.keep_beside(store, staged, found[1], store, row.id)


def _leave(versions: Versions, row: Deed, there: os.stat_result | None) -> None:
    """What was moved, and has its new name, loses the former one, if it has that still."""
    store, _, former = row.origin.partition("/")
    root, path = versions.folder(store), SharePath.parse(former)
    if root is None or there is None or there.st_nlink < 2:
        return
    ground = Ground(root.name, root)
    if (found := ground.there(path)) is None or not same_file(found, there):
        return
    with ground.parent(path) as folder:
        named = look(folder, path.name)
        if named is not None and same_file(named[1], there):
            os.unlink(named[0], dir_fd=folder)
            sync_folder(folder)
