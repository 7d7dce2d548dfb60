"""Whoever may not list a share hears the same whatever is in it; whoever may do nothing, the same as of no share."""

from __future__ import annotations

import asyncio
import shutil
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from commonhold.authority.authority import INCLUDES, Verb

from ..authority.suite import ALL_SHARES, CAROL
from ..files.conftest import Tower

NAMES = ("a", "été")
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(paths, st.sampled_from(["file", "folder", "link"]), max_size=6)
headers = st.just({}) | st.fixed_dictionaries(
    {},
    optional={
        "Depth": st.sampled_from(["0", "1", "infinity", "2"]),
        "If_Match": st.sampled_from(["*", '"0123456789abcdef01234567"', "nonsense"]),
        "If_None_Match": st.sampled_from(["*", '"0123456789abcdef01234567"']),
        "If_Unmodified_Since": st.just("Tue, 24 Nov 2020 12:00:00 GMT"),
        "Range": st.just("bytes=0-1"),
        "Commonhold_Pass": st.just("0" * 32),
        "X_Expected_Entity_Length": st.just("3"),
    },
)
methods = st.sampled_from(["PUT", "MKCOL", "PROPFIND", "GET", "HEAD", "DELETE", "OPTIONS", "LOCK"])
requests = st.lists(
    st.tuples(methods, st.just("") | paths, st.sampled_from(["", "/"]), st.sampled_from([None, b"", b"abc"]), headers),
    min_size=1,
    max_size=8,
)
rights = st.sampled_from(["add", "members add", "add, denied list", "nothing", "denied", "denied everywhere"])


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """tower's real door, its loop, and what carol's computer hears there."""
    with asyncio.Runner() as runner:
        tower = Tower(tmp_path_factory.mktemp("tower"))
        runner.run(tower.open())

        def hear(name, method, path, data, sent):
            answer = runner.run(tower.ask("desk", method, f"/dav/{name}/{quote(path)}", data, **sent))
            own = {key: value for key, value in answer.headers.items() if key.lower() not in {"date", "etag"}}
            return answer.status, own, answer.body.replace(name.encode(), b"NAME"), "ETag" in answer.headers

        yield tower, hear
        runner.run(tower.close())


def plant(root, tree):
    for path, kind in sorted(tree.items()):
        place = root / path
        if any(parent.exists() and not parent.is_dir() for parent in place.parents) or place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "folder":
            place.mkdir()
        elif kind == "file":
            place.write_bytes(b"secret")
        else:
            place.symlink_to("/etc")


def grant(tower, right, door):
    casa = tower.casa
    if "add" in right:
        casa.allow("members" if right.startswith("members") else CAROL, Verb.ADD, door)
    if right == "add, denied list":
        casa.deny(CAROL, Verb.LIST, door)
    if right.startswith("denied"):
        casa.allow("members", Verb.WRITE, door)
        for verb in sorted(INCLUDES[Verb.WRITE]):
            casa.deny(CAROL, verb, ALL_SHARES if right == "denied everywhere" else door)


EVERY_STEP = [(method, path, "", b"abc", {}) for path in ("a", "a/a", "été") for method in ("PUT", "MKCOL", "DELETE")]


@given(trees, rights, requests)
@example({"a": "file", "été": "folder"}, "add", EVERY_STEP)
@example({"a": "folder", "été": "link"}, "add, denied list", EVERY_STEP)
@example({"a/a": "file", "été": "file"}, "members add", [(*step[:3], None, {}) for step in EVERY_STEP])
@settings(max_examples=120)
def test_whoever_may_not_list_hears_the_same_whatever_there_is(door, tree, right, asked):
    tower, hear = door
    full, void = tower.offer("full"), tower.offer("void")
    try:
        plant(full.root, tree)
        for share in (full, void):
            grant(tower, right, share.door)
        for method, path, slash, data, sent in asked:
            heard = hear("full", method, path + slash, data, sent)
            assert heard == hear("void", method, path + slash, data, sent)
            if "add" not in right:
                assert heard == hear("none", method, path + slash, data, sent)
        for path, kind in tree.items():
            if kind == "file" and (full.root / path).is_file():
                assert (full.root / path).read_bytes() in {b"secret", b"", b"abc"}
    finally:
        for rule in tower.casa.book.rules():
            tower.casa.book.remove(rule.id)
        for share in (full, void):
            tower.shares.withdraw(share.door.name)
            shutil.rmtree(share.root)
