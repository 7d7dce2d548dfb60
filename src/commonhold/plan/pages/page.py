"""Charts, advice and claims as one HTML page that needs nothing else: no script, no network, no font of its own.

Whatever a name contains is text: the template escapes all but the drawings, which `inline` has made.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import quote

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from commonhold.names import visible
from commonhold.plan.advise import Advice
from commonhold.plan.pages.pictures import Panel, pictures
from commonhold.plan.pages.sheets import Chart, shown
from commonhold.plan.textbook.claim import TriedClaim

GENERATOR = "commonhold report"  # by which a page of ours is known
SIGNS = {"confirmed": "✓", "refuted": "✗", "depends": "◐", "untried": "?"}


class Exhibit(NamedTuple):
    """A chart, its drawings, and the file that has its table."""

    chart: Chart
    panels: Sequence[Panel]
    file: str

    @property
    def address(self) -> str:
        return quote(self.file)

    @property
    def rows(self) -> list[list[tuple[str, bool]]]:
        """Each cell, and whether it is a number."""
        both = zip(self.chart.sheet.rows, self.chart.sheet.cells(), strict=True)
        return [[(said, not isinstance(cell, str)) for cell, said in zip(*each, strict=True)] for each in both]


class Chapter(NamedTuple):
    """One section."""

    name: str
    title: str
    text: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    charts: Sequence[Chart] = ()
    claims: Sequence[TriedClaim] = ()
    formulas: Sequence[str] = ()
    opened: bool = False  # its tables


def page(title: str, base: str, advice: Advice, warnings: Sequence[str], parts: Sequence[Chapter]) -> dict[str, bytes]:
    """Every file of a report by its name, the page first. Needs matplotlib."""
    style = _resource("report.css")
    exhibits = [
        [Exhibit(chart, pictures(chart), f"{base}-{chart.name}.csv") for chart in part.charts] for part in parts
    ]
    environment = Environment(
        loader=DictLoader({"report": _resource("report.html")}),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
    )
    text = environment.get_template("report").render(
        title=title,
        advice=advice,
        warnings=warnings,
        parts=[part._asdict() | {"exhibits": found} for part, found in zip(parts, exhibits, strict=True)],
        style=Markup(style),  # noqa: S704 - ours
        style_digest=b64encode(sha256(style.encode()).digest()).decode(),
        generator=GENERATOR,
        signs=SIGNS,
        shown=shown,
    )
    sheets = {each.file: each.chart.sheet.csv() for found in exhibits for each in found}
    return {f"{base}.html": text.encode(errors="replace"), **sheets}


def _visible(value: object) -> object:
    """Texts without what turns the reading direction or is no part of a page; drawings stay."""
    return visible(value) if type(value) is str else value


def _resource(name: str) -> str:
    return files("commonhold.plan.pages").joinpath(name).read_text(encoding="utf-8")
