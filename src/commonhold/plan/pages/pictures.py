"""Charts as pictures, by matplotlib: the same chart, the same bytes.

Colours after Okabe and Ito (2008), which people tell apart however they see colours, on light and dark paper; each
has a mark of its own besides. Sizes are those of a phone: 360 wide, so that letters keep their size there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from io import BytesIO
from math import isfinite, nan
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from commonhold.errors import NotFound
from commonhold.plan.pages.inline import INK, inlined
from commonhold.plan.pages.sheets import Cell, Chart, Kind, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKS = ("o", "s", "^", "D", "v", "P")
WIDTH, HEIGHT = 360, 235  # points, as all lengths here
INCH = 72
LETTERS = 10.5
SMALL = 9.0
MOST_ROWS = 60  # of names in one picture: its table has all of them
WRAPPED = 15  # letters of a name beside a line
HOLLOW = ((9.0, False), (6.5, False), (3.5, True))  # marks that may lie upon one another: how large, whether filled
MANY = 12  # points of a line: more are not marked one by one
DASHED = ("simulated", "computed")  # columns that stand beside what was measured
ROW = 17  # one computer's
LONGEST = 17  # letters of a name beside a picture; the table has all of it
STYLE = {
    "svg.hashsalt": "commonhold",
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # $ in a name is a $
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same layout everywhere
    "font.size": LETTERS,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "errorbar.capsize": 3.0,
}


class Panel(NamedTuple):
    """One drawing of a chart: an SVG element, and the heading over it."""

    title: str
    svg: str


def require() -> None:
    """Raises NotFound where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        hint = "pip install 'commonhold[plan]'"
        raise NotFound("Pictures need matplotlib, which is not installed here.", hint)


def pictures(chart: Chart) -> list[Panel]:
    """None for a table. Needs matplotlib (`require`)."""
    draw = DRAWN.get(chart.kind)
    if draw is None or not chart.sheet.rows:
        return []
    import matplotlib as mpl  # noqa: PLC0415 - late: an extra, and half a second

    style: Any = {**mpl.rcParamsDefault, "backend": "svg", **STYLE}  # nobody's own settings
    with mpl.rc_context(style):
        return [
            Panel(title, inlined(_saved(figure), f"{chart.name}-{number}", title or chart.title, chart.alternative))
            for number, (title, figure) in enumerate(draw(chart))
        ]


def _bounded(chart: Chart) -> Iterator[tuple[str, Figure]]:
    """Measured points with bands on a computed line, between bounds; all panels to one scale."""
    rows = [row[1:] for row in chart.sheet.rows]
    across = max(_numbers(row[0] for row in rows))
    up = max(_numbers(value for row in rows for value in (row[1], row[3], row[4])))
    for group in chart.shown_groups:
        colour, mark = _look(chart, group)
        figure, axes = _paper()
        found = list(chart.of(group))
        x, measured, low, high, computed, least, most, knee = (_values(chart, found, place) for place in range(1, 9))
        for bound in (least, most):
            axes.plot(x, bound, color=INK, linewidth=1.2, dashes=(1.2, 2.5))
        axes.plot(x, computed, color=colour, linewidth=1.4)
        _banded(axes, x, measured, low, high, colour, mark)
        if knee[0] <= across:
            axes.axvline(knee[0], color=INK, linewidth=0.8, dashes=(6, 3))
            axes.annotate(f"N* = {knee[0]:.1f}", (knee[0], up * 1.1), (3, 0), textcoords="offset points", va="top")
        axes.set(xlim=(0, across * 1.03), ylim=(0, up * 1.12))
        _axes(axes, chart, chart.sheet.columns[2].unit)
        yield group, figure


def _curves(chart: Chart) -> Iterator[tuple[str, Figure]]:
    """All groups in one panel, each named where its line ends."""
    groups = chart.shown_groups
    figure, axes = _paper(
        left=70 if chart.sheet.columns[2].unit == "money" else 58, right=12 if len(groups) == 1 else 96
    )
    ends, tops = [], []
    for group in groups:
        colour, mark = _look(chart, group)
        rows = list(chart.of(group))
        x, value, low, high, dashed = (_values(chart, rows, name) for name in (1, 2, "low", "high", DASHED))
        axes.plot(x, dashed, "--", color=colour, linewidth=1.1)
        _banded(axes, x, value, low, high, colour, mark, line=True)
        known = next(each for each in (value, dashed) if any(map(isfinite, each)))
        tops += [each for each in (*known, *high) if isfinite(each)]
        ends.append(([each for each in known if isfinite(each)][-1], group, colour))
    unit = chart.sheet.columns[2].unit
    if len(groups) == 1:
        axes.axhline(0, color=INK, linewidth=0.8)
    else:
        bottom = min(1.0, *tops) - 0.02 if unit == "times" else 0
        axes.set_ylim(bottom, max(bottom + (max(tops) - bottom) * 1.1, 1.1 if unit == "times" else 0))
        _name_ends(figure, axes, ends)
    axes.set_xlim(0, max(_numbers(row[1] for row in chart.sheet.rows)) * 1.03)
    _axes(axes, chart, unit)
    yield "", figure


def _bars(chart: Chart) -> Iterator[tuple[str, Figure]]:
    most = max(_numbers(row[2] for row in chart.sheet.rows)) or 1.0
    for group in chart.shown_groups:
        rows = list(chart.of(group))[:MOST_ROWS]
        figure, axes = _named_rows([shown(row[0]) for row in rows])
        drawn = axes.barh(range(len(rows)), [float(row[1] or 0) for row in rows], 0.62, color=_look(chart, group)[0])
        axes.bar_label(drawn, [f"{float(row[1] or 0):.3g}" for row in rows], padding=3, fontsize=SMALL)
        axes.set(xlim=(0, most * 1.15), xlabel=str(chart.sheet.columns[2]))
        yield group, figure


def _marks(chart: Chart) -> Iterator[tuple[str, Figure]]:
    """Several values of one name in a row, each with a mark of its own, from 0 to 100 %."""
    heads = [each.name for each in chart.sheet.columns[2:5]]
    for group in chart.shown_groups:
        rows = [row[:4] for row in chart.of(group)][:MOST_ROWS]
        figure, axes = _named_rows([shown(row[0]) for row in rows], above=26)
        axes.hlines(range(len(rows)), 0, [max(_numbers(row[1:])) * 100 for row in rows], color=INK, linewidth=0.5)
        for place, head in enumerate(heads):
            values = [float(row[place + 1] or 0) * 100 for row in rows]
            colour, (large, filled) = COLOURS[place], HOLLOW[place]
            axes.plot(
                values,
                range(len(rows)),
                MARKS[place],
                color=colour,
                markersize=large,
                markerfacecolor=colour if filled else "none",
                label=head,
                clip_on=False,
            )
        axes.set(xlim=(0, 100), xlabel="%")
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=3,
            frameon=False,
            handletextpad=0,
            columnspacing=1,
            borderpad=0,
        )
        yield group, figure


def _tornado(chart: Chart) -> Iterator[tuple[str, Figure]]:
    """A bar from the outcome at one end of a value to that at the other, its name above."""
    rows = chart.sheet.rows
    figure, axes = _paper(height=2 * ROW * len(rows) + 56, left=14, right=14, top=8, bottom=40)
    base = float(rows[0][5] or 0)
    for place, (name, low, high, at_low, at_high, _) in enumerate(rows):
        for at, colour in ((at_low, COLOURS[0]), (at_high, COLOURS[1])):
            axes.barh(place, float(at or 0) - base, 0.36, base, color=colour)
        axes.annotate(
            f"{name}: {low:g} to {high:g}",
            (0, place),
            (0, 8),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="bottom",
        )
        axes.vlines(base, place - 0.2, place + 0.2, color=INK, linewidth=1.0)
        axes.vlines(0, place - 0.2, place + 0.2, color=INK, linewidth=1.0, linestyle=":")
    axes.set(ylim=(len(rows) - 0.4, -0.9), yticks=[], xlabel=f"server dearer by ({chart.sheet.columns[3].unit})")
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(_thousands)
    yield "", figure


DRAWN: dict[Kind, Callable[[Chart], Iterator[tuple[str, Figure]]]] = {
    "bounded": _bounded,
    "curves": _curves,
    "bars": _bars,
    "marks": _marks,
    "tornado": _tornado,
}


def _paper(
    height: float = HEIGHT, left: float = 48, right: float = 12, top: float = 10, bottom: float = 40
) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, and so much room beside them."""
    from matplotlib.figure import Figure as Paper  # noqa: PLC0415 - late, as above

    figure = Paper(figsize=(WIDTH / INCH, height / INCH))
    place = (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - top - bottom) / height)
    return figure, figure.add_axes(place)


def _named_rows(names: Sequence[str], above: float = 8) -> tuple[Figure, Axes]:
    """Room for a row for each name, the first on top."""
    short = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    left = 18 + 6.3 * max(map(len, short))
    figure, axes = _paper(ROW * len(names) + above + 44, left, 18, above, 40)
    axes.set(yticks=range(len(names)), yticklabels=short, ylim=(len(names) - 0.4, -0.6))
    axes.tick_params(axis="y", length=0, pad=7)
    axes.grid(axis="x", color=INK, alpha=0.15, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=5)
    return figure, axes


def _axes(axes: Axes, chart: Chart, unit: str) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - late, as above

    if unit == "s" and axes.get_ylim()[1] < 0.5:
        unit = "ms"
    axes.set(xlabel=str(chart.sheet.columns[1]), ylabel="% of all files" if unit == "part" else unit)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    if unit in FORMATS:
        axes.yaxis.set_major_formatter(FORMATS[unit])
    axes.grid(axis="y", color=INK, alpha=0.15, linewidth=0.6)
    axes.set_axisbelow(True)


def _thousands(value: float, _: object) -> str:
    return f"{value:,.0f}"


def _thousandths(value: float, _: object) -> str:
    return f"{value * 1000:.3g}"


def _hundredths(value: float, _: object) -> str:
    return f"{value * 100:g}"


FORMATS = {"money": _thousands, "part": _hundredths, "ms": _thousandths}


def _banded(
    axes: Axes,
    x: list[float],
    value: list[float],
    low: list[float],
    high: list[float],
    colour: str,
    mark: str,
    line: bool = False,
) -> None:
    """Marks where something is known, with the bars of their bands; of many points a few marks, and a shade."""
    known = [each for each in zip(x, value, low, high, strict=True) if isfinite(each[1])]
    if not known:
        return
    at, values, lows, highs = map(list, zip(*known, strict=True))
    style = "-" if line else "none"
    if len(known) > MANY:
        axes.plot(at, values, style, color=colour, marker=mark, markevery=len(known) // 6)
        axes.fill_between(at, lows, highs, color=colour, alpha=0.2, linewidth=0)
        return
    ends = [
        [abs(value - end) if isfinite(end) else 0.0 for value, end in zip(values, band, strict=True)]
        for band in (lows, highs)
    ]
    axes.errorbar(at, values, ends, fmt=mark, color=colour, linestyle=style, elinewidth=1.0)


def _name_ends(figure: Figure, axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Each group's name beside its line's end, moved apart where two would touch."""
    bottom, top = axes.get_ylim()
    height = axes.get_position().height * figure.get_figheight() * INCH
    names = [("\n".join(wrap(group, WRAPPED)), colour) for _, group, colour in sorted(ends)]
    rooms = [(LETTERS + 2) * (name.count("\n") + 1) for name, _ in names]
    places = [(value - bottom) / (top - bottom) * height for value, _, _ in sorted(ends)]
    for number in range(1, len(places)):
        apart = (rooms[number - 1] + rooms[number]) / 2
        places[number] = max(places[number], places[number - 1] + apart)
    limit = height
    for number in reversed(range(len(places))):
        places[number] = min(places[number], limit - rooms[number] / 2)
        limit = places[number] - rooms[number] / 2
    for (name, colour), place in zip(names, places, strict=True):
        axes.annotate(
            name,
            (1, place / height),
            (6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            color=colour,
            annotation_clip=False,
            linespacing=1.05,
        )


def _values(chart: Chart, rows: Sequence[tuple[Cell, ...]], which: int | str | tuple[str, ...]) -> list[float]:
    """One column as numbers, by its place or by how its name begins; nan where nothing is known."""
    named = [place for place, each in enumerate(chart.sheet.columns) if place == which or _begins(each.name, which)]
    if not named:
        return [nan] * len(rows)
    found = [row[named[0] - 1] for row in rows]
    return [float(each) if isinstance(each, int | float) and isfinite(each) else nan for each in found]


def _begins(name: str, which: int | str | tuple[str, ...]) -> bool:
    return not isinstance(which, int) and name.startswith(which)


def _look(chart: Chart, group: str) -> tuple[str, str]:
    """The colour and the mark of a group, the same in all pictures."""
    place = chart.groups.index(group)
    return COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)]


def _numbers(cells: Iterator[Cell] | Sequence[Cell]) -> list[float]:
    return [float(each) for each in cells if each is not None and not isinstance(each, str)]


def _saved(figure: Figure) -> bytes:
    out = BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
