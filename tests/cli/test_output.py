"""The one place that prints."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.cli.output import Output, aligned, counted, local, shown, size
from commonhold.errors import CommonholdError, PartlyFailed, Refused
from commonhold.names import ComputerName

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Thing(msgspec.Struct):
    path: str
    modified: datetime


def test_people_get_lines_and_programs_one_document(capsys):
    Output().answer({"a": 1}, "one", "two")
    assert capsys.readouterr().out == "one\ntwo\n"
    Output(json=True).answer({"a": 1}, "one", "two")
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_times_in_json_are_utc(capsys):
    Output(json=True).answer([Thing("a", NOON)])
    assert json.loads(capsys.readouterr().out) == [{"path": "a", "modified": "2026-11-22T12:00:00Z"}]


def test_names_and_paths_become_text(capsys):
    Output(json=True).answer({"computer": ComputerName("tower"), "folder": Path("/x")})
    assert json.loads(capsys.readouterr().out) == {"computer": "tower", "folder": "/x"}


def test_remarks_are_for_people(capsys):
    Output(json=True).remark("by the way")
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""
    Output().remark("by the way")
    assert capsys.readouterr().err == "by the way\n"


def test_a_table_that_is_piped_is_plain_and_aligned(capsys):
    Output().table([], ("NAME", "SIZE"), [("a", "1 B"), ("longer", "20 kB")], "nothing")
    assert capsys.readouterr().out == "NAME    SIZE\na       1 B\nlonger  20 kB\n"


def test_an_empty_table_is_a_sentence_for_people_and_a_list_for_programs(capsys):
    Output().table([], ("NAME",), [], "There are none.")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "There are none.\n")
    Output(json=True).table([], ("NAME",), [], "There are none.")
    assert json.loads(capsys.readouterr().out) == []


def test_an_error_is_a_sentence_and_a_hint_on_standard_error(capsys):
    Output().error(CommonholdError("It broke.", "mend it"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "commonhold: It broke.\nhint: mend it\n"


def test_a_refusal_carries_its_reason_and_rule_into_json(capsys):
    Output(json=True).error(Refused("Ann may not read photos: no rule.", "ask bob", reason="no rule", rule=None))
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "error": "Ann may not read photos: no rule.",
        "kind": "Refused",
        "exit": 4,
        "hint": "ask bob",
        "reason": "no rule",
        "rule": None,
    }
    assert printed.err.startswith("commonhold: Ann may not read photos")


def test_what_failed_is_listed_ten_at_most_for_people(capsys):
    failed = [{"path": f"f{n}", "error": "The disk is full."} for n in range(12)]
    Output(json=True).error(PartlyFailed("12 of 20 files failed.", failed=failed))
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["failed"]) == 12
    assert printed.err.count("The disk is full.") == 10


def test_an_error_after_the_result_leaves_one_document(capsys):
    out = Output(json=True)
    out.answer({"done": 1})
    out.error(PartlyFailed("Some failed."))
    assert json.loads(capsys.readouterr().out) == {"done": 1}


def test_a_file_is_printed_byte_for_byte(capfdbinary):
    Output().content([b"\x00\xff", b"\x1b[31m"])
    assert capfdbinary.readouterr().out == b"\x00\xff\x1b[31m"


@given(st.text())
def test_nothing_shown_can_move_the_cursor(text):
    obeyed = {c for c in shown(text) if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert obeyed <= {"\n", "\t"}
    assert len(shown(text)) == len(text)


def test_ordinary_letters_are_shown_as_they_are():
    assert shown("été 写真 (1).jpg") == "été 写真 (1).jpg"


def test_hostile_names_are_shown_harmless(capsys):
    Output().answer([], "evil\x1b[2J\u202egpj.exe")
    assert capsys.readouterr().out == "evil�[2J�gpj.exe\n"


@given(st.lists(st.tuples(st.text(alphabet="abc", max_size=9), st.text(alphabet="xyz", max_size=9)), min_size=1))
def test_columns_stand_below_one_another(rows):
    width = max(len(first) for first, _ in rows)
    for line, (first, second) in zip(aligned(rows), rows, strict=True):
        assert line == f"{first.ljust(width)}  {second}".rstrip()


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_950, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (5_000_000_000, "5.0 GB"),
        (2_000_000_000_000, "2.0 TB"),
        (3_000_000_000_000_000, "3.0 PB"),
    ],
)
def test_sizes_are_read_at_a_glance(octets, text):
    assert size(octets) == text


def test_counting_words():
    assert counted(1, "file") == "1 file"
    assert counted(0, "file") == "0 files"


def test_a_moment_nobody_knows_is_a_dash():
    assert local(None) == "-"
    assert local(NOON).startswith("2026-11-2")
