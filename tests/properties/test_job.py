"""Rules of jobs that hold for every input: placeholders, folders, states."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.compute.job import ENDED, Input, JobSpec, State, file_inputs, may_follow, verdict, words_for
from commonhold.errors import WrongUsage

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
NAME = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)
FOLDER = st.lists(st.sampled_from("abc"), max_size=4).map(tuple)


@given(TEXT, st.sampled_from(["x {} y", "x {/} {.}", "{/.}", "no placeholder"]))
def test_the_shell_reads_a_value_as_one_word_whatever_is_in_it(text: str, command: str):
    [shell, option, line] = words_for(command, Input("value", text))
    assert (shell, option) == ("sh", "-c")
    fields = shlex.split(command)
    assert len(shlex.split(line)) == len(fields) + ("{" not in command)


@settings(max_examples=20, deadline=None)
@given(TEXT)
def test_the_real_shell_agrees(text: str):
    done = subprocess.run(words_for("printf %s {}", Input("value", text)), capture_output=True, check=True)
    assert done.stdout == text.encode()


@given(TEXT)
def test_a_value_that_looks_like_a_placeholder_stays_what_it_is(text: str):
    assert words_for(("p", "{}"), Input("value", "{.}" + text)) == ("p", "{.}" + text)


@given(st.lists(TEXT.filter(lambda text: "{" not in text), min_size=1))
def test_without_placeholder_the_input_comes_last(words: list[str]):
    assert words_for(tuple(words), Input("value", "v")) == (*words, "v")
    assert words_for(tuple(words), None) == tuple(words)


@pytest.mark.parametrize(
    ("text", "whole", "stem", "last", "last_stem"),
    [
        ("a/b.tar.gz", "a/b.tar.gz", "a/b.tar", "b.tar.gz", "b.tar"),
        ("a.b/c", "a.b/c", "a.b/c", "c", "c"),
        (".hidden", ".hidden", ".hidden", ".hidden", ".hidden"),
    ],
)
def test_the_four_forms_are_those_of_gnu_parallel(text: str, whole: str, stem: str, last: str, last_stem: str):
    words = words_for(("{}", "{.}", "{/}", "{/.}"), Input("value", text))
    assert words == (whole, stem, last, last_stem)


@pytest.mark.parametrize(("text", "folder"), [("a/b/c", "a/b"), ("c", "."), ("/c", "/"), ("a/b/", "a")])
def test_the_folder_of_an_input_is_one_that_a_shell_can_enter(text: str, folder: str):
    assert words_for(("cd", "{//}"), Input("value", text)) == ("cd", folder)
    assert words_for(("cd", "{//}"), Input("remote", "tower:s/a/b", "b", "a")) == ("cd", ".")


def test_the_number_of_the_task_is_filled_in_with_and_without_an_input():
    assert words_for("echo {#} {}", Input("value", "x"), 7)[-1] == "echo 7 x"
    assert words_for(("echo", "{#}"), None, 7) == ("echo", "7")
    assert words_for("echo {}", None, 7)[-1] == "echo {}"  # another program's own


def test_a_file_is_known_by_its_name_and_never_taken_for_an_option():
    given = Input("remote", "tower:photos/2026/-rf.jpg", "-rf.jpg", "2026")
    assert words_for(("rm", "{}", "{.}.out"), given) == ("rm", "./-rf.jpg", "./-rf.out")
    assert words_for(("rm", "{/}", "{/.}.out"), given) == ("rm", "./-rf.jpg", "./-rf.out")


@given(st.lists(st.tuples(st.sampled_from(["remote", "local"]), FOLDER, NAME), min_size=1))
def test_different_files_never_share_a_place_for_their_outputs(files: list):
    given = [(kind, "text", (*folder, name), len(folder)) for kind, folder, name in files]
    places = {}
    for (kind, _, parts, _), each in zip(given, file_inputs(given), strict=True):
        assert each.name == parts[-1]
        assert "/".join(parts).endswith(f"{each.reldir}/{each.name}".lstrip("/"))
        assert places.setdefault((kind, each.reldir, each.name), parts) == parts


def test_folders_are_relative_to_what_all_inputs_have_in_common():
    remote = [("remote", "", ("tower", "photos", year, "a.jpg"), 3) for year in ("2025", "2026")]
    assert [each.reldir for each in file_inputs(remote)] == ["2025", "2026"]
    assert [each.reldir for each in file_inputs(remote[:1])] == [""]
    whole = [(*found[:3], 2) for found in remote]  # the share was named, as a folder
    assert [each.reldir for each in file_inputs(whole[:1])] == ["2025"]


@given(st.lists(st.sampled_from(State)))
def test_what_has_ended_stays_ended(moves: list[State]):
    state = State.WAITING
    for new in moves:
        if may_follow(state, new):
            assert state not in ENDED
            state = new
    assert not any(may_follow(ended, new) for ended in (State.DONE, State.FAILED, State.CANCELLED) for new in State)


def test_a_job_fails_when_any_task_does():
    assert (verdict(0), verdict(1)) == (State.DONE, State.FAILED)


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(""),
        JobSpec(()),
        JobSpec(("", " ")),
        JobSpec("true", cores=0),
        JobSpec("true", timeout=0),
        JobSpec("true", into="tower:photos/../.."),
        JobSpec("true", inputs=(Input("local", "x", "../x"),)),
        JobSpec("true", inputs=(Input("local", "x", ""),)),
        JobSpec("true", inputs=(Input("local", "x", "x", "a/../../b"),)),
        JobSpec("true", inputs=(Input("remote", "tower:photos/x", "y"),)),
    ],
)
def test_a_hostile_job_is_refused(spec: JobSpec):
    with pytest.raises(WrongUsage):
        spec.check()
