"""Numbers in sentences: seconds, money, counts. *Pure.*"""

from __future__ import annotations

from math import isinf

from commonhold.plan.values.cost import Range


def time(seconds: float) -> str:
    """
    >>> time(0.0042), time(0.25), time(3.21), time(400), time(20_000)
    ('4.2 ms', '250 ms', '3.2 s', '400 s', '5.6 h')
    """
    if isinf(seconds):
        return "without end"
    if 0 < seconds < 5e-5:
        return "less than 0.1 ms"
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def number(value: float) -> str:
    """
    >>> number(0.000862458), number(1500.0), number(0.3)
    ('0.000862', '1500', '0.3')
    """
    return f"{value:.3g}" if abs(value) < 1 else f"{value:g}"


def rate(a_second: float) -> str:
    """
    >>> rate(0.0123), rate(4.567), rate(1234.5)
    ('0.0123', '4.57', '1,234')
    """
    return f"{a_second:.3g}" if a_second < 100 else f"{a_second:,.0f}"


def counted(count: float, one: str, many: str) -> str:
    """
    >>> counted(1, "person", "people"), counted(3.0, "person", "people")
    ('1 person', '3 people')
    """
    return f"{count:.0f} {one if count == 1 else many}"


def money(amount: float) -> str:
    """To two digits: nobody knows more.

    >>> money(12345), money(-87), money(0)
    ('12,000', '-87', '0')
    """
    if not amount:
        return "0"
    digits = max(0, len(str(int(abs(amount)))) - 2)
    return f"{round(amount / 10**digits) * 10**digits:,}"


def more(spread: Range) -> str:
    """What a server costs more than peers.

    >>> more(Range(-100, 50, 200)), more(Range(-300, -250, -200))
    ('between 100 less and 200 more', '200 to 300 less')
    """
    if spread.low < 0 < spread.high:
        return f"between {money(-spread.low)} less and {money(spread.high)} more"
    near, far = sorted((abs(spread.low), abs(spread.high)))
    return f"{money(near)} to {money(far)} {'less' if spread.high <= 0 else 'more'}"
