"""The formulas behind an advice, with its numbers put in. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterator

from commonhold.plan.cost import cost
from commonhold.plan.queueing import bottleneck, bounds, knee, total
from commonhold.plan.scenario import Scenario
from commonhold.plan.shapes import Shape, predict, slowdown, stations


def explained(scenario: Scenario) -> Iterator[str]:
    """Line by line, for both shapes: demands, knee, bounds, mean value analysis, owners' slowdown, cost."""
    fleet, people, think = scenario.fleet(), int(scenario["people"]), scenario["think"]
    times = ", ".join(f"{name} {seconds:.4g} s" for name, seconds in fleet.demands._asdict().items())
    yield f"One request at an ordinary computer: {times}; then Z = {think:g} s of thought."
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
