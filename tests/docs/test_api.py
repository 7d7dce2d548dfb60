"""docs/api.md: each example runs against a real network, in order, and gives what the document says."""

from __future__ import annotations

import doctest
import inspect

import pytest

import commonhold
from commonhold import errors
from commonhold.api import Network, connect
from commonhold.home import Home
from commonhold.node import background, founding

from .documents import ROOT, blocks, free_address

DOCUMENT = ROOT / "docs" / "api.md"
METHODS = {name for name, _ in inspect.getmembers(Network, inspect.isfunction) if not name.startswith("_")}
FLAGS = doctest.ELLIPSIS


@pytest.fixture
def homes():
    """Homes whose nodes are stopped at the end, however it ends."""
    made: list[Home] = []
    try:
        yield made
    finally:
        for home in made:
            if background.running(home):
                background.stop(home)


@pytest.fixture
def laptop(homes, tmp_path):
    """The home of laptop, ann's, as the document says; carol's desk has joined and was never switched on."""
    laptop, tower, desk = (Home(tmp_path / name) for name in ("laptop", "tower", "desk"))
    homes += [laptop, tower]
    photos = tmp_path / "photos"
    (photos / "2026").mkdir(parents=True)
    (photos / "cat.jpg").write_text("miau\n")
    (photos / "2026" / "lake.jpg").write_text("splash!\n")
    (tmp_path / "here" / "papers").mkdir(parents=True)

    here = free_address(4)
    founding.create(laptop, "home", person="ann", computer="laptop", listen=[here])
    background.start(laptop)
    with connect(laptop) as net:
        for home, computer, person in ((tower, "tower", "bob"), (desk, "desk", "carol")):
            code = net.invite().code
            founding.join(home, f"{code}@{here}", person, computer, [free_address(5)])
    background.start(tower)
    with connect(tower) as net:
        net.share(photos, to="ann", verb="write")
        net.allow("ann", "run", "compute")
    return laptop


def test_every_example_gives_what_it_says(laptop, tmp_path, monkeypatch):
    monkeypatch.setenv("COMMONHOLD_HOME", str(laptop))
    monkeypatch.chdir(tmp_path / "here")
    names: dict[str, object] = {}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS)
    said: list[str] = []
    try:
        for block in blocks(DOCUMENT):
            assert block.language == "pycon", f"line {block.line}: an example that no test runs"
            test = parser.get_doctest(block.text, names, "api.md", str(DOCUMENT), block.line - 1)
            runner.run(test, out=said.append, clear_globs=False)
            names = test.globs
            assert runner.tries >= len(test.examples) > 0
            assert runner.failures == 0, "".join(said)
    finally:
        if isinstance(net := names.get("net"), Network):
            net.close()


def test_every_public_method_stands_in_the_document():
    text = DOCUMENT.read_text()
    missing = {name for name in METHODS if f"net.{name}(" not in text}
    assert not missing


def test_every_exported_name_stands_in_the_document():
    text = DOCUMENT.read_text()
    for name in commonhold.__all__:
        assert f"`commonhold.{name}`" in text or f"`commonhold.{name}(" in text
        assert getattr(commonhold, name) is not None


def test_signatures_are_those_of_the_code():
    """Every `net.NAME(…)` written with its parameters has exactly these, with these defaults."""
    text = DOCUMENT.read_text()
    for name in METHODS - {"close"}:
        function = getattr(Network, name)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        plain = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
        written = str(inspect.Signature(plain)).replace("'", '"')
        assert f"`net.{name}{written}`" in text, f"write `net.{name}{written}`"


def test_every_error_stands_in_the_table_with_its_exit_code():
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    for name, kind in errors.KINDS.items():
        assert any(f"`{name}`" in row and f"| {kind.exit_code} |" in row for row in rows), name
