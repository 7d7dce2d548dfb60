"""Whatever names and paths people give: one line each, which reads back, in a chain that holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.audit import LONGEST_WORD, Audit
from commonhold.authority.lines import entries, hashes, parts, verify

TEXTS = st.text(st.characters(), max_size=60) | st.just("x" * (LONGEST_WORD + 10))
WORDS = st.fixed_dictionaries(
    {"door": TEXTS, "folder": TEXTS | st.lists(TEXTS, max_size=3) | st.none() | st.integers()}
)


@given(st.lists(WORDS, max_size=12), st.integers(1, 2_000))
@settings(max_examples=60, deadline=None)
def test_any_words_make_lines_that_hold_in_parts_of_any_size(recorded, part_bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.jsonl"
        for half in (recorded[: len(recorded) // 2], recorded[len(recorded) // 2 :]):  # a restart between
            audit = Audit(path, part_bytes=part_bytes)
            for words in half:
                audit.record("share", **words)
            assert audit.head[0] == len(list(entries(path)))
            audit.close()
        verdict = verify(path)
        assert (verdict.broken, verdict.lines) == (None, len(recorded))
        assert sum(each.read_bytes().count(b"\n") for each in parts(path)) == len(recorded)
        assert len(hashes(path, 0)) == len(recorded)
        for entry, words in zip(entries(path), recorded, strict=True):
            assert entry["door"][:LONGEST_WORD] == words["door"].encode(errors="replace").decode()[:LONGEST_WORD]


@given(st.lists(WORDS, min_size=2, max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_any_line_that_is_changed_and_is_not_the_last_is_named(recorded, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.jsonl"
        audit = Audit(path)
        for words in recorded:
            audit.record("share", **words)
        audit.close()
        lines = path.read_bytes().splitlines(keepends=True)
        changed = data.draw(st.integers(0, len(lines) - 2))
        place = data.draw(st.integers(0, len(lines[changed]) - 2))
        line = bytearray(lines[changed])
        line[place] ^= 1
        lines[changed] = bytes(line)
        path.write_bytes(b"".join(lines))
        broken = verify(path).broken
        assert broken is not None
        assert changed + 1 <= broken.n <= changed + 2
