"""What readings become: spreads and lines, against what is known of them."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.plan.values.fitting import line, spread

SIZES = st.lists(st.integers(0, 10**8), min_size=2, max_size=12).filter(lambda sizes: len(set(sizes)) > 1)
SECONDS = st.floats(1e-6, 100)


@given(SIZES, st.floats(1e-5, 1e-2), st.floats(0, 1e-7))
def test_a_line_is_found_again(sizes, each, byte):
    assume(byte == 0 or max(sizes) * byte > 1e-6 * each)
    found = line([(size, each + byte * size) for size in sizes])
    for size in sizes:
        assert found.each + found.byte * size == pytest.approx(each + byte * size, rel=1e-6)


@given(SIZES.flatmap(lambda sizes: st.tuples(*(st.tuples(st.just(size), SECONDS) for size in sizes))))
def test_no_operation_gives_time_back_and_no_line_nearby_is_nearer(readings):
    found = line(readings)
    assert found.each >= 0
    assert found.byte >= 0

    def missed(each, byte):
        return sum(((each + byte * size) / seconds - 1) ** 2 for size, seconds in readings)

    best = missed(*found)
    for each in (found.each * 0.99, found.each * 1.01):
        for byte in (found.byte * 0.99, found.byte * 1.01):
            assert missed(each, byte) >= best * (1 - 1e-6) - 1e-9


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40))
def test_eight_of_ten_lie_in_the_spread(readings):
    found = spread(readings)
    assert min(readings) <= found.low <= found.middle <= found.high <= max(readings)
    inside = sum(found.low <= each <= found.high for each in readings)
    assert inside >= len(readings) - 2 * ceil(0.1 * (len(readings) - 1))


def test_what_gives_no_figure():
    with pytest.raises(WrongUsage):
        spread([])
    for readings in ([], [(1, 1.0), (1, 2.0)], [(1, 1.0), (2, 0.0)]):
        with pytest.raises(WrongUsage):
            line(readings)
