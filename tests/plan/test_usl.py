"""The Universal Scalability Law, against figures that were published."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.plan.trials.usl import fit, throughput

SDM91 = ([1, 18, 36, 72, 108, 144, 216], [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2])


def test_the_spec_sdm91_benchmark_as_the_package_usl_of_r_has_it():
    found = fit(*SDM91)
    assert found.alpha.value == pytest.approx(0.0277285, abs=5e-8)
    assert found.alpha.error == pytest.approx(0.0091217, abs=5e-8)
    assert found.beta.value == pytest.approx(0.0001044, abs=5e-8)
    assert found.beta.error == pytest.approx(0.0000199, abs=5e-8)
    assert found.gamma.value == pytest.approx(89.995, abs=5e-4)
    assert found.gamma.error == pytest.approx(14.213, abs=1e-3)
    assert found.peak == pytest.approx(96.5, abs=0.05)
    assert found.agreeing


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 0.3), st.floats(0, 0.01), st.floats(1, 1e4))
def test_what_follows_the_law_is_found_again(alpha, beta, gamma):
    loads = [1, 2, 4, 8, 16, 32, 64]
    found = fit(loads, [throughput(alpha, beta, gamma, load) for load in loads])
    assert found.alpha.value == pytest.approx(alpha, abs=1e-5)
    assert found.beta.value == pytest.approx(beta, abs=1e-6)
    assert found.gamma.value == pytest.approx(gamma, rel=1e-5)


def test_more_than_twice_as_much_by_twice_as_many_is_a_fault():
    found = fit([1, 2, 4, 8, 16], [10.0, 22.0, 50.0, 118.0, 300.0])
    assert "below 0 for certain" in found.fault
    assert not found.agreeing


def test_who_never_waits_has_no_peak_for_certain():
    found = fit([1, 2, 4, 8], [10.0, 20.0, 40.0, 80.0])
    assert found.fault == ""
    assert found.alpha.value == pytest.approx(0, abs=1e-6)
    assert not found.agreeing


@pytest.mark.parametrize(
    ("loads", "throughputs"), [([1, 2, 4], [1.0, 2.0, 3.0]), ([1, 2, 2, 2], [1.0] * 4), ([0, 1, 2, 3], [1.0] * 4)]
)
def test_too_few_points_and_nonsense(loads, throughputs):
    with pytest.raises(WrongUsage):
        fit(loads, throughputs)
