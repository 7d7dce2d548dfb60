"""What a task prints, however much that is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.compute.job import KEPT_OUTPUT
from commonhold.compute.sandboxed import printed
from commonhold.compute.sandboxed.printed import Printout


def test_long_output_keeps_its_head_and_its_tail(tmp_path: Path):
    with Printout(tmp_path) as out:
        os.write(out.fileno(), b"head" + b"x" * (3 * KEPT_OUTPUT) + b"tail")
        told = out.text()
    assert told.startswith("head")
    assert told.endswith("tail")
    assert f"… {2 * KEPT_OUTPUT + 8} bytes left out …" in told
    assert len(told) < KEPT_OUTPUT + 100


def test_what_is_no_text_is_told_all_the_same(tmp_path: Path):
    with Printout(tmp_path) as out:
        os.write(out.fileno(), "é".encode()[:1])
        assert out.text() == "\ufffd"


def test_endless_output_does_not_stay_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(printed, "LARGEST", 100_000)
    with Printout(tmp_path) as out:
        for number in range(300):
            os.write(out.fileno(), b"%09d\n" % number * 1000)
            out.shorten()
            assert os.fstat(out.fileno()).st_size <= 110_000
        told = out.text()
    assert told.startswith("000000000\n")
    assert told.endswith("000000299\n")
    assert f"… {3_000_000 - KEPT_OUTPUT} bytes left out …" in told


def test_a_look_at_what_is_over_does_nothing(tmp_path: Path):
    with Printout(tmp_path) as out:
        pass
    out.shorten()


@given(st.lists(st.binary(max_size=90), max_size=12), st.integers(16, 60))
def test_head_and_tail_are_those_of_all_that_was_printed(pieces: list[bytes], largest: int):
    """Whenever it was shortened."""
    with pytest.MonkeyPatch.context() as patch, Printout(Path("/tmp")) as out:
        patch.setattr(printed, "LARGEST", largest)
        patch.setattr(printed, "HALF", 8)
        patch.setattr(printed, "KEPT_OUTPUT", 16)
        for piece in pieces:
            os.write(out.fileno(), piece)
            out.shorten()
        told, whole = out.text(), b"".join(pieces)
    if "bytes left out" not in told:
        assert told == whole.decode(errors="replace")
        return
    assert told.startswith(whole[:8].decode(errors="replace"))
    assert told.endswith(whole[-8:].decode(errors="replace"))
