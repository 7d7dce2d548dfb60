"""Every command's help, its examples, and docs/cli.md."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from commonhold.cli.command import Command
from commonhold.cli.main import commands
from commonhold.cli.reference import help_of, reference
from commonhold.cli.table import EXAMPLES, PURPOSES

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def found(name):
    command = commands.get_command(click.Context(commands), name)
    assert isinstance(command, Command)
    return command


def parses(line):
    """Parse an example with the real options; nothing is performed. Pipes end the command, as in a shell."""
    words = shlex.split(line.partition(" | ")[0])
    assert words.pop(0) == "commonhold"
    root = commands.make_context("commonhold", words)
    name, command, rest = commands.resolve_command(root, [*root._protected_args, *root.args])
    return command.make_context(name, rest, parent=root)


@pytest.mark.parametrize("name", PURPOSES)
def test_help_has_a_purpose_options_and_examples(name):
    text = help_of(name)
    assert text.startswith(f"Usage: commonhold {name}")
    assert PURPOSES[name] in text
    assert "Options:" in text
    assert "Examples:\n  commonhold " in text


@pytest.mark.parametrize("name", PURPOSES)
def test_the_examples_of_a_command_are_real(name):
    examples = found(name).examples
    assert examples
    for example in examples:
        assert parses(example).info_name == name


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_whole_are_real(example):
    parses(example)


@pytest.mark.parametrize("name", PURPOSES)
def test_purposes_are_one_line_sentences(name):
    assert PURPOSES[name].endswith(".")
    assert len(PURPOSES[name]) <= 66


@pytest.mark.parametrize("name", PURPOSES)
def test_every_option_says_what_it_does(name):
    for parameter in found(name).params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name


def test_the_reference_is_fresh():
    assert DOCS.read_text() == reference(), "python -m commonhold.cli.reference > docs/cli.md"


def test_the_reference_is_the_same_whatever_the_terminal(monkeypatch):
    before = reference()
    monkeypatch.setenv("COLUMNS", "40")
    assert reference() == before
