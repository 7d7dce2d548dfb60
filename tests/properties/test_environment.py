"""Rules of environments that hold for all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import Tag

from commonhold.compute.environment import MOST_WHEELS, Environment, Wheel, unfit
from commonhold.errors import WrongUsage
from commonhold.wire import from_json, to_json

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
TAGS = st.sampled_from(["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64", "cp39-abi3-linux_aarch64"])
NAMES = st.builds(
    lambda name, version, tag: f"{name}-{version}-{tag}.whl",
    st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["1.0", "2.0.1", "3rc1"]),
    TAGS,
)
WHEELS = st.lists(
    st.builds(Wheel, NAMES, DIGESTS, st.integers(0, 10**9)), max_size=6, unique_by=lambda each: each.name.split("-")[0]
)
ENVIRONMENTS = st.builds(
    lambda python, machine, wheels: Environment(python, machine, tuple(wheels)),
    st.sampled_from(["3.11", "3.12"]),
    st.sampled_from(["x86_64", "aarch64"]),
    WHEELS,
)


@given(ENVIRONMENTS)
def test_what_is_written_is_read_again_and_is_known_by_the_same_digest(environment):
    environment.check()
    again = from_json(to_json(environment), Environment)
    assert again == environment
    assert again.digest == environment.digest
    assert len(environment.packages) == len(environment.wheels)


@given(ENVIRONMENTS, st.randoms())
def test_the_order_of_its_wheels_is_of_no_matter(environment, chance):
    wheels = list(environment.wheels)
    chance.shuffle(wheels)
    assert Environment(environment.python, environment.machine, tuple(wheels)).digest == environment.digest


@given(ENVIRONMENTS, ENVIRONMENTS)
def test_two_are_one_only_when_all_of_them_is_the_same(one, other):
    def known(each: Environment) -> object:
        return each.python, each.machine, {(wheel.name, wheel.sha256) for wheel in each.wheels}

    assert (one.digest == other.digest) is (known(one) == known(other))


@given(st.text(max_size=60) | NAMES.map(lambda name: f"../{name}") | NAMES.map(lambda name: f"a/{name}"))
def test_no_name_leads_anywhere(name):
    """A wheel's name becomes a file's: whatever passes is one plain component."""
    try:
        Environment("3.11", "x86_64", (Wheel(name, "0" * 64, 1),)).check()
    except WrongUsage:
        return
    assert name.endswith(".whl")
    assert not {"/", "\\", "\0"} & set(name)


@given(ENVIRONMENTS)
def test_it_fits_where_python_is_the_same_and_every_wheel_is_taken(environment):
    every = {Tag(*each.split("-")) for each in ("py3-none-any", "cp311-cp311-manylinux_2_17_x86_64")}
    every.add(Tag("cp39", "abi3", "linux_aarch64"))
    assert unfit(environment, "desk", environment.python, environment.machine, every) == ""
    assert "desk runs Python 3.99" in unfit(environment, "desk", "3.99", environment.machine, every)
    if environment.wheels:
        assert environment.wheels[0].name in unfit(environment, "desk", environment.python, environment.machine, set())
        assert "the environment is for" in unfit(environment, "desk", environment.python, "riscv64", set())


def test_what_is_out_of_bounds_is_none():
    def one(number: int, size: int = 1) -> Wheel:
        return Wheel(f"x{number}-1.0-py3-none-any.whl", "0" * 64, size)

    for wheels in (
        tuple(one(number) for number in range(MOST_WHEELS + 1)),
        (one(1, -1),),
        (one(1, 2**60),),
        (one(1), Wheel("X1-2.0-py3-none-any.whl", "1" * 64, 1)),  # two versions of one package
    ):
        with pytest.raises(WrongUsage):
            Environment("3.11", "x86_64", wheels).check()
    with pytest.raises(ValueError, match="regex"):
        from_json(b'{"name": "x-1-py3-none-any.whl", "sha256": "../../etc", "size": 1}', Wheel)
