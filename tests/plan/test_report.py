"""A report's files: every picture has its table, names are text, no network is asked, and no clock is in it."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from commonhold.errors import WrongUsage
from commonhold.plan.pages.report import report
from commonhold.plan.pages.sheets import Column, sheet
from commonhold.plan.reach.exposure import Exposed, Exposure
from commonhold.plan.textbook.claim import TriedClaim
from commonhold.plan.values.scenario import parse

from .trials import EVEN, SERVER, simulated

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "$\\frac{1}{0}$ & {{ 7 * 7 }}",
    "=cmd|'/c calc'!A1",
    "naïve \u202eexe.\x07",
)
SCENARIO = (
    '[fleet]\ncomputers = 5\n[money.rate]\nvalue = 40\nsource = "<b>ann</b>"\norigin = "measured"\ndate = 2026-11-29\n'
)


def few(trials, about, chance):
    """Claims that need no minutes."""
    return [
        TriedClaim(2, "Trouble with <ten>.", "refuted", "It was 120 ms.", {"even, 16 people": 0.12}),
        TriedClaim(3, "Power decides.", "untried", "Nothing shows it yet."),
    ]


class Page(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.figure = ""
        self.cell: list[str] | None = None
        self.text = ""
        self.feed(data.decode())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        if tag == "figure":
            self.figure = found["id"]
            self.tables[self.figure] = []
        if tag == "tr" and self.figure:
            self.tables[self.figure].append([])
        if tag in {"td", "th"} and self.figure:
            self.tables[self.figure][-1].append("")
            self.cell = self.tables[self.figure][-1]

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self.cell = None
        if tag == "figure":
            self.figure = ""

    def handle_data(self, data):
        self.text += data
        if self.cell is not None:
            self.cell[-1] += data

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def drawn():
    trial = simulated(4, (1, 6), (SERVER, EVEN), 2, ("tower",), 60)
    return report(parse(SCENARIO), [trial], "casa", claims=few)


@pytest.fixture(scope="module")
def files():
    return drawn()


@pytest.fixture(scope="module")
def page(files):
    return Page(files["casa.html"])


def test_every_picture_has_its_table_in_the_page_and_the_same_one_as_a_file(files, page):
    names = {
        "throughput",
        "response",
        "p95",
        "owner",
        "utilisation",
        "served",
        "points",
        "cost",
        "break-even",
        "tornado",
    }
    assert names <= page.tables.keys()
    assert {f"casa-{name}.csv" for name in page.tables} == files.keys() - {"casa.html"}
    for name, table in page.tables.items():
        there = list(csv.reader(io.StringIO(files[f"casa-{name}.csv"].decode())))
        assert there == table, name
        assert len(table) > 1
    linked = {unquote(each["href"]) for each in page.of("a") if not each["href"].startswith("#")}
    assert linked == files.keys() - {"casa.html"}


def test_the_title_counts_the_computers_that_the_advice_is_for(files):
    assert b"<h1>Both shapes of a network of 5 computers</h1>" in files["casa.html"]


def test_each_drawing_says_what_it_shows(page):
    drawn = [each for each in page.of("svg") if each["role"] == "img"]
    assert len(drawn) == 17, "two arrangements in four pictures, three networks, one panel of each other"
    assert len(page.of("desc")) == len(page.of("title")) - 1 == len(drawn)
    assert "Throughput in requests/s by number of people: client-server" in page.text


def test_bands_knees_and_bounds_stand_in_the_table(page):
    heads, *rows = page.tables["throughput"]
    assert heads[:3] == ["arrangement", "people", "measured (requests/s)"]
    for row in rows:
        _, _, measured, low, high, computed, least, most, _ = (
            float(each or "nan") if each[0:1].isdigit() or not each else each for each in row
        )
        assert least <= computed <= most
        assert measured != measured or low <= measured <= high  # noqa: PLR0124 - not measured


def test_it_tells_the_verdict_what_it_rests_on_and_what_was_measured_how(page):
    for said in (
        "Simulated: no computer did this.",
        "Peer-to-peer, for 5 computers",
        "Measure first",
        "knee N*",
        "commonhold compare",
        "2026-11-29",
        "<b>ann</b>",
    ):
        assert said in page.text


def test_claims_stand_with_verdict_and_figures(page):
    assert "2. Trouble with <ten>." in page.text
    assert "✗ refuted It was 120 ms." in page.text.replace("\n", " ")
    assert "even, 16 people0.12" in page.text
    assert "? untried Nothing shows it yet." in page.text


def test_nothing_outside_is_asked_for(page):
    assert not {"script", "iframe", "img", "object", "link", "base", "form"} & {tag for tag, _ in page.tags}
    (policy,) = [each["content"] for each in page.of("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for _, attributes in page.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src", "xlink:href"):
            target = attributes.get(name) or "#"
            assert target.startswith("#") or re.fullmatch(r"casa-[\w-]+\.csv", target)


def test_ids_are_each_one_place(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = {each["href"][1:] for _, each in page.tags if (each.get("href") or "").startswith("#")}
    assert inner <= set(ids)


def test_names_are_text_whatever_is_in_them_and_several_comparisons_stand_one_after_the_other():
    trial = simulated(len(HOSTILE), (1, 2), (EVEN,), 1, HOSTILE, 40)
    files = report(None, [trial, trial], 'a "b" <c>', claims=few)
    page = Page(files['a "b" <c>.html'])
    assert not {"script", "img", "b", "c"} & {tag for tag, _ in page.tags}
    assert "{{ 7 * 7 }}" in page.text
    assert {"throughput-1", "throughput-2"} <= page.tables.keys()
    assert page.text.count("Simulated: no computer did this.") == 1
    for number in (1, 2):
        (computers,) = {tuple(dict.fromkeys(row[1] for row in page.tables[f"served-{number}"][1:]))}
        assert computers == (*HOSTILE[:4], "naïve \ufffdexe.\ufffd")
        written = files[f'a "b" <c>-served-{number}.csv'].decode()
        assert "'=cmd|'/c calc'!A1" in written, "a spreadsheet would have run it"


def test_the_same_input_gives_the_same_bytes(files):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tests.plan.test_report import *;"
        "sys.stdout.buffer.write(drawn()['casa.html'])"
    )
    again = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parents[2])], capture_output=True, check=True
    )
    assert again.stdout == files["casa.html"], "another process, with its own hashes"


def test_without_a_comparison_all_is_computed_and_of_a_live_network_each_key_and_computer_is_told():
    rows = (
        Exposed("bob's <key>", "key", "bob", "high", 0.8, 0.3, 0.1, 3, 2),
        Exposed("tower", "computer", "", "moderate", 0.5, 0.5, 0.5, 1, 1),
    )
    found = Exposure(rows, 1200, 10**9, ("tower",), ("nas",), warnings=("It was long ago.",))
    page = Page(report(parse(SCENARIO), exposure=found, claims=few)["report.html"])
    assert {"throughput", "p95", "cost", "values"} <= page.tables.keys()
    assert "served" not in page.tables
    assert page.tables["here"][1][:5] == ["this network", "bob's <key>", "0.8", "0.3", "0.1"]
    for said in ("Nothing was measured", "its 1,200 files", "Of nas nothing is known.", "It was long ago."):
        assert said in page.text


def test_about_nothing_there_is_no_report():
    with pytest.raises(WrongUsage, match="about nothing"):
        report(None, [], claims=few)


def test_without_matplotlib_one_sentence_says_what_is_needed():
    program = (
        "import sys; from importlib.machinery import PathFinder as Paths\n"
        "find = Paths.find_spec\n"
        "Paths.find_spec = lambda name, *more: None if name == 'matplotlib' else find(name, *more)\n"
        "from commonhold.cli.main import perform\n"
        "sys.exit(perform(['--home', sys.argv[1], 'report', '--save', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", program, "/nowhere"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == (
        "commonhold: Pictures need matplotlib, which is not installed here.\nhint: pip install 'commonhold[plan]'\n"
    )


def test_a_sheet_is_told_to_six_digits():
    rows = [("a", 1 / 3, None), ("b", 12_345_678.9, float("inf"))]
    assert sheet([Column("who"), Column("much", "s"), Column("more")], rows).csv() == (
        b"who,much (s),more\r\na,0.333333,\r\nb,12345679,\r\n"
    )
