"""The command before the command: help, lazy loading, wrong usage, and what any error becomes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

import commonhold
from commonhold.cli.main import _crashed, commands, perform, translated
from commonhold.cli.table import GROUPS, PURPOSES
from commonhold.errors import CommonholdError, NoSpace

HEAVY = {"dask", "distributed", "numpy", "matplotlib", "zeroconf", "rich", "aiohttp", "cryptography", "msgspec"}


def test_help_lists_every_command_in_its_group(cli):
    seen = cli("--help")
    assert seen.code == 0
    for group, names in GROUPS.items():
        assert f"{group}:" in seen.out
        for name, purpose in names.items():
            assert f"{name} " in seen.out
            assert purpose in seen.out
    assert seen.out.rstrip().splitlines()[-1].strip().startswith("commonhold ")


def test_help_loads_no_library_and_no_command(process):
    seen = process(
        code="import sys\nfrom commonhold.cli.main import perform\nassert perform(['--help']) == 0\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    loaded = set(seen.err.split())
    assert "commonhold.cli.main" in loaded
    assert not loaded & HEAVY
    assert not loaded & {f"commonhold.cli.{name}" for name in PURPOSES}
    assert "commonhold.api" not in loaded


def test_the_help_of_a_command_loads_no_library_that_is_slow(process):
    """One after the other: the first that loads one is named."""
    slow = HEAVY - {"msgspec"}
    seen = process(
        code="import sys\nfrom commonhold.cli.main import perform\n"
        f"for name in {list(PURPOSES)}:\n    assert perform([name, '--help']) == 0\n"
        f"    assert not {slow} & sys.modules.keys(), (name, {slow} & sys.modules.keys())"
    )
    assert seen.code == 0, seen.err
    assert seen.out.count("Usage: commonhold ") == len(PURPOSES)


def test_python_m_commonhold_is_the_command(process):
    assert process("--version").out == f"commonhold {commonhold.__version__}\n"


def test_no_command_at_all_is_wrong_usage_and_shows_the_help(cli):
    seen = cli()
    assert seen.code == 2
    assert seen.out == ""
    assert "Processors:" in seen.err


@pytest.mark.parametrize(("typed", "meant"), [("lss", "ls"), ("statu", "status"), ("mebmers", "members")])
def test_an_unknown_command_names_the_nearest(cli, typed, meant):
    seen = cli(typed)
    assert seen.code == 2
    assert seen.out == ""
    sentence, hint, usage = seen.err.splitlines()
    assert sentence == f"commonhold: There is no command “{typed}”."
    assert hint == f"hint: did you mean “{meant}”?"
    assert usage.startswith("Usage: commonhold")


def test_an_unknown_command_like_nothing_points_at_the_help(cli):
    assert "hint: commonhold --help" in cli("zzzzzzzz").err


def test_an_unknown_option_names_the_nearest(cli):
    seen = cli("ls", "--recursiv")
    assert seen.code == 2
    assert "commonhold ls has no option --recursiv." in seen.err
    assert "hint: did you mean “--recursive”?" in seen.err
    assert "Usage: commonhold ls" in seen.err


def test_an_unknown_option_before_the_command_is_wrong_usage(cli):
    assert cli("--hom", "x", "ls").code == 2


def test_an_option_of_the_whole_after_the_command_says_where_it_belongs(cli):
    seen = cli("ls", "--json")
    assert seen.code == 2
    assert "--json stands before the command." in seen.err
    assert "hint: commonhold --json … ls …" in seen.err


def test_wrong_usage_is_one_document_with_json(cli):
    seen = cli("--json", "get")
    assert seen.code == 2
    assert seen.document["exit"] == 2
    assert seen.document["kind"] == "WrongUsage"
    assert seen.document["error"] in seen.err
    assert seen.document["hint"] == "commonhold get --help"


@pytest.mark.parametrize("typed", [("guard",), ("person",), ("log", "x"), ("allow", "bob", "fly", "photos")])
def test_wrong_usage_is_one_sentence_whatever_click_makes_of_it(cli, typed):
    sentence, hint, usage = cli(*typed).err.splitlines()
    assert sentence.startswith("commonhold: ")
    assert "range" not in sentence
    assert hint == f"hint: commonhold {typed[0]} --help"
    assert usage.startswith("Usage: ")


def test_a_hint_can_be_typed_as_it_stands(cli):
    seen = cli("--json", "cat", "tower:my photos/été.txt")
    assert seen.document["hint"] == "commonhold cat 'tower:my photos/été.txt'"


def test_json_is_known_even_where_nothing_can_be_parsed(cli):
    assert cli("--json", "--nonsense").document["exit"] == 2


def test_json_after_the_command_belongs_to_the_command(cli):
    seen = cli("run", "jq", "--json")
    assert seen.code == 3  # not joined: the words behind `run` were not read as options
    assert seen.out == ""


def test_every_command_is_found_under_its_own_name(cli):
    with commands.make_context("commonhold", ["status"], resilient_parsing=True) as context:
        for name in commands.list_commands(context):
            found = commands.get_command(context, name)
            assert found is not None
            assert found.name == name


def test_the_home_is_named_by_option_or_environment(cli, sleeping, tmp_path):
    assert cli("--json", "status").document["computer"] == "laptop"
    assert cli("--home", tmp_path / "elsewhere", "status").code == 3


def test_a_file_where_the_home_should_be_is_a_sentence(cli, tmp_path):
    (tmp_path / "file").write_text("")
    seen = cli("--home", tmp_path / "file", "status")
    assert seen.code not in {0, 2}
    assert "Traceback" not in seen.err


def test_a_damaged_file_of_ours_is_named(cli, sleeping):
    sleeping.settings_file.write_text("{")
    seen = cli("status")
    assert seen.code == 1
    assert str(sleeping.settings_file) in seen.err


def test_a_mistake_of_our_own_is_one_sentence_with_the_details_in_a_file(sleeping):
    error = _crashed(ZeroDivisionError("division by zero"), ["--home", str(sleeping), "join", "7-otter-plum"])
    assert error.exit_code == 1
    assert error.sentence == "commonhold made a mistake of its own (ZeroDivisionError)."
    details = (sleeping.folder / "crash.log").read_text()
    assert "division by zero" in details
    assert "otter" not in details


def test_the_operating_systems_refusal_names_the_file():
    denied = translated(PermissionError(13, "Permission denied", "/home/x"))
    assert (denied.sentence, denied.exit_code) == ("/home/x: Permission denied.", CommonholdError.exit_code)
    assert translated(OSError(28, "No space left on device", "/home/x")).exit_code == NoSpace.exit_code


def test_a_reader_that_has_enough_ends_the_command_quietly(home):
    # More than a pipe holds, so that the writer meets the closed end whoever is faster.
    code = (
        "import click, sys\nfrom commonhold.cli import main\n"
        "main.commands.format_epilog = lambda ctx, f: f.write('x' * 1_000_000)\nmain.main(['--help'])"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 141


def test_ctrl_c_while_something_is_asked(terminal, sleeping):
    seen = terminal("remove", "laptop", keys=b"\x03")
    assert seen.code == 130
    assert "commonhold: Interrupted." in seen.out


LOST = """
import signal
import time
from commonhold.cli import main

class Finished:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def work(_):
    Finished()
    time.sleep(60)
    return 0

main.perform = work
main.main([])
"""


def test_ctrl_c_is_heard_though_it_falls_where_python_drops_exceptions():
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")


def test_perform_returns_the_exit_code_of_the_help():
    assert perform(["ls", "--help"]) == 0


def test_an_error_document_is_valid_json_in_one_line(cli):
    seen = cli("--json", "members")
    assert len(seen.lines) == 1
    assert json.loads(seen.out)["exit"] == seen.code == 3


def test_a_crash_is_written_into_the_home_that_was_named(sleeping, monkeypatch):
    def fail(_):
        raise ZeroDivisionError

    monkeypatch.setattr("commonhold.node.background.running", fail)
    assert perform(["--home", str(sleeping.folder), "up"]) == 1
    assert "ZeroDivisionError" in (sleeping.folder / "crash.log").read_text()
