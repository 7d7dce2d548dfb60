"""The formulas behind an advice, with its numbers put in. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterator

from commonhold.plan.queues.queueing import bottleneck, bounds, knee, total
from commonhold.plan.queues.shapes import Shape, predict, slowdown, stations
from commonhold.plan.values.amounts import money, number
from commonhold.plan.values.cost import break_even, cost, tornado
from commonhold.plan.values.scenario import Scenario

FARTHEST = 500  # computers, for the break-even
SWINGS = 5  # that are told, of what is uncertain


def explained(scenario: Scenario) -> Iterator[str]:
    """Line by line, for both shapes: demands, knee, bounds, mean value analysis, owners' slowdown, cost."""
    fleet, people, think = scenario.fleet(), int(scenario["people"]), scenario["think"]
    times = ", ".join(f"{name} {seconds:.4g} s" for name, seconds in fleet.demands._asdict().items())
    yield f"One request at an ordinary computer: {times}; then Z = {think:g} s of thought."
    for name, how in (("serving", "files are served"), ("lending", "guests compute")):
        if scenario[name]:
            yield f"Measured: an owner's small task takes {scenario[name]:.3g} times as long while {how}."
    for shape in Shape:
        here = stations(fleet, shape)
        load = predict(fleet, shape, [people])[0]
        whole, longest = total(here), bottleneck(here)
        limits = bounds(here, people, think)
        busiest = max(range(len(here)), key=load.utilisations.__getitem__)
        yield ""
        yield f"{shape}: D = {whole:.4g} s, at the bottleneck Dmax = {longest:.4g} s"
        yield f"  knee N* = (D + Z) / Dmax = ({whole:.4g} + {think:g}) / {longest:.4g} = {knee(here, think):.1f} people"
        yield (
            f"  bounds at N = {people}: N/(ND + Z) = {limits.least_throughput:.4g}"
            f" <= X <= min(1/Dmax, N/(D + Z)) = {limits.most_throughput:.4g} a second"
        )
        yield f"  mean value analysis: X = {load.throughput:.4g} a second, R = N/X - Z = {load.response:.4g} s"
        most = here[busiest]
        yield (
            f"  busiest: {most.name}, U = X D / servers ="
            f" {load.throughput:.4g} x {most.demand:.4g} / {most.servers} = {load.utilisations[busiest]:.1%}"
        )
        yield f"  an owner waits 1/(1 - U) = {slowdown(fleet, shape, load):.3g} times as long for a processor"
        parts = cost(scenario, shape)
        named = " + ".join(f"{name} {amount:,.0f}" for name, amount in parts._asdict().items())
        yield f"  cost: {named} = {parts.whole:,.0f}"
    yield ""
    yield _even(scenario)
    for name, low, high in tornado(scenario)[:SWINGS]:
        value = scenario.value(name)
        yield (
            f"  with {name} = {number(value.low)} client-server costs {money(low)} more than peer-to-peer,"
            f" with {number(value.high)} {money(high)}"
        )


def _even(scenario: Scenario) -> str:
    found = break_even(scenario, FARTHEST)
    if found is None:
        return f"break-even: with any number of computers up to {FARTHEST} client-server costs more"
    return f"break-even: client-server costs less from {found} computers on"
