"""One vocabulary: what the code records is what the table and docs/audit.md say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import commonhold
from commonhold.authority.events import ABOUT, EVENTS, OWN, SECRET, check

SOURCES = Path(commonhold.__file__).parent
DOCUMENT = SOURCES.parents[1] / "docs" / "audit.md"
RECORDING = {"record", "_record"}


def recorded():
    """(event, words, whether these are all, place) for each call that names its event."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in RECORDING and isinstance(node.args[0].value, str):
                words = {word.arg for word in node.keywords if word.arg}
                whole = len(words) == len(node.keywords) and len(node.args) == 1
                yield node.args[0].value, words, whole, f"{path.relative_to(SOURCES)}:{node.lineno}"


def test_every_line_that_is_recorded_is_in_the_table():
    found = list(recorded())
    assert len(found) > 15
    for event, words, whole, place in found:
        assert event in EVENTS, f"{place}: “{event}” is not in authority/events.py"
        allowed = {word.rstrip("?") for word in EVENTS[event].words.split()}
        assert words <= allowed, f"{place}: “{event}” takes no {words - allowed}"
        if whole:
            check(event, words)


def test_no_event_has_words_that_are_secret_or_the_record_s_own():
    for event, (words, meaning) in EVENTS.items():
        assert not (OWN | SECRET).intersection(word.rstrip("?") for word in words.split()), event
        assert meaning


def test_the_document_has_the_table():
    text = DOCUMENT.read_text()
    for event, (words, meaning) in EVENTS.items():
        assert f"| `{event}` | {words} | {meaning} |" in text
    assert text.count("\n| `") == len(EVENTS)


def test_what_filters_look_at_are_words_of_events():
    every = {word.rstrip("?") for words, _ in EVENTS.values() for word in words.split()}
    assert {word for words in ABOUT.values() for word in words} <= every


@pytest.mark.parametrize(
    ("event", "words", "trouble"),
    [
        ("joind", {}, "no event “joind”"),
        ("unshare", {"dor": "x"}, "takes no dor"),
        ("unshare", {}, "needs door"),
        ("unshare", {"door": "x", "password": "y"}, "takes no password"),
    ],
)
def test_a_typo_is_an_error(event, words, trouble):
    with pytest.raises(TypeError, match=trouble):
        check(event, words)
