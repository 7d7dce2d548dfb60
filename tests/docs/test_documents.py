"""What holds of every document: its links lead somewhere, and it names only what exists."""

from __future__ import annotations

import re
import tomllib

import pytest

from commonhold import errors
from commonhold.cli.main import commands
from commonhold.cli.table import PURPOSES

from .documents import DOCUMENTS, ROOT, blocks

LINK = re.compile(r"(?<!\\)\[[^]]*\]\((?P<target>[^)\s]+)\)")
COMMAND = re.compile(r"commonhold(?: --json| --home \S+)* (?P<name>[a-z]+)")
EXIT = re.compile(r"exit(?:s with| code)? (?P<code>\d+)")
PATH = re.compile(r"`(?P<path>(?:src|tests|docs|bench)/[\w./-]+)`")
MODULE = re.compile(r"`(?P<module>(?:authority|identity|transport|files|compute|node|cli|demo)/\w+(?:\.py)?)`")
EXIT_CODES = {0, *(kind.exit_code for kind in errors.KINDS.values())}

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@every_document
def test_every_link_within_the_project_leads_somewhere(document):
    for found in LINK.finditer(document.read_text()):
        target, _, heading = found["target"].partition("#")
        if ":" in target:
            continue
        path = (document.parent / target).resolve() if target else document
        assert path.exists(), f"{document.name} links to {found['target']}"
        assert path.is_relative_to(ROOT)
        if heading:
            assert heading in headings(path), f"{document.name} links to {found['target']}"


@every_document
def test_every_command_named_exists(document):
    """In code only: in prose “commonhold” may be followed by any word."""
    text = document.read_text()
    code = [block.text for block in blocks(document)] + re.findall(
        r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S)
    )
    named = {found["name"] for piece in code for found in COMMAND.finditer(piece)}
    assert named <= PURPOSES.keys(), f"{document.name} names {named - PURPOSES.keys()}"


@every_document
def test_every_option_of_a_command_named_exists(document):
    """Those in fenced lines that begin with the command, with or without the name of the computer before it."""
    for block in blocks(document):
        if block.language == "text":  # the reference itself is made from the help
            continue
        for found in re.finditer(r"^(?:\w+)?\$ commonhold (\w+)((?: +[^:\n]*)?)", block.text, re.MULTILINE):
            command = commands.get_command(None, found[1])
            known = {option for parameter in command.params for option in parameter.opts}
            typed = set(re.findall(r" (--[a-z-]+)", found[2].split("'")[0]))
            assert typed <= known | {"--help"}, f"{document.name}: {found[0]}"


@every_document
def test_every_exit_code_named_is_one_of_the_errors(document):
    named = {int(found["code"]) for found in EXIT.finditer(document.read_text())}
    assert named <= EXIT_CODES


@every_document
def test_every_file_of_the_project_named_exists(document):
    text = document.read_text()
    for found in PATH.finditer(text):
        assert (ROOT / found["path"]).exists(), f"{document.name} names {found['path']}"
    for found in MODULE.finditer(text):
        path = ROOT / "src" / "commonhold" / found["module"].removesuffix(".py")
        assert path.with_suffix(".py").exists() or path.is_dir(), f"{document.name} names {found['module']}"


@every_document
def test_every_test_named_exists(document):
    named = set(re.findall(r"`(test_\w+)`", document.read_text()))
    there = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named <= there, f"{document.name} names {named - there}"


def test_every_module_stands_in_the_picture_of_layers():
    """And what import-linter holds to being pure is marked so."""
    picture = next(block.text for block in blocks(ROOT / "ARCHITECTURE.md") if "authority/" in block.text)
    drawn = dict(re.findall(r"\b(\w+)(\*?)(?=[ ,(\n]|$)", picture))
    package = ROOT / "src" / "commonhold"
    for path in package.rglob("*.py"):
        if path.stem not in PURPOSES and not path.stem.startswith("__"):
            assert path.stem in drawn, f"{path.relative_to(package)} is not in ARCHITECTURE.md"
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (pure,) = [contract["source_modules"] for contract in contracts if "pure" in contract["name"]]
    missing = {module for module in pure if not re.search(rf"\b{module.rpartition('.')[2]}\*", picture)}
    assert not missing


def test_every_sentence_of_an_error_is_one_that_the_code_says():
    """Piece by piece: `…` stands for what differs, and an f-string has it in braces."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    sentences = re.findall(r"^### “(.+)”$", text, re.MULTILINE)
    assert len(sentences) > 10
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    for sentence in sentences:
        for piece in sentence.split("…"):
            assert piece.strip(" .;") in code, f"nothing says: {sentence}"


def headings(path):
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
