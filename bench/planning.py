"""Advice: how fast the models behind it are, beside SimPy and Ciw.

The queue of all three is M/M/1 at a load of 0.8, whose mean wait with service is 5; an event is an arrival or a
departure. Processor time, in turns.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from peers import environment
from rows import Row, seconds

from commonhold.plan.queues.queueing import Station, exact
from commonhold.plan.queues.simulate import Facility, Route, Sample, exponential, open_
from commonhold.plan.seeded import advised, chance
from commonhold.plan.values.scenario import Scenario, told

PACKAGES = ("simpy==4.1.2", "ciw==3.2.7")
CUSTOMERS = 200_000
ROUNDS = 3
SEEDS = 40
SIMPY = """
import random, simpy, sys, time
customers = int(sys.argv[1])
chance, waits = random.Random(1), []
def customer(env, desk):
    came = env.now
    with desk.request() as turn:
        yield turn
        yield env.timeout(chance.expovariate(1.0))
    waits.append(env.now - came)
def source(env, desk):
    for _ in range(customers):
        yield env.timeout(chance.expovariate(0.8))
        env.process(customer(env, desk))
env = simpy.Environment()
env.process(source(env, simpy.Resource(env, 1)))
began = time.process_time()
env.run()
print(2 * customers / (time.process_time() - began), sum(waits) / len(waits))
"""
CIW = """
import ciw, sys, time
customers = int(sys.argv[1])
network = ciw.create_network(
    arrival_distributions=[ciw.dists.Exponential(0.8)],
    service_distributions=[ciw.dists.Exponential(1.0)],
    number_of_servers=[1],
)
ciw.seed(1)
simulation = ciw.Simulation(network)
began = time.process_time()
simulation.simulate_until_max_customers(customers, method="Complete")
took = time.process_time() - began
spent = [each.waiting_time + each.service_time for each in simulation.get_all_records()]
print(2 * customers / took, sum(spent) / len(spent))
"""


def notes() -> str:
    return (__doc__ or "").partition("\n\n")[2].strip()


def rows() -> list[Row]:
    python = environment("simulators", PACKAGES) / "python"
    others: dict[str, list[float]] = {"SimPy": [], "Ciw": []}
    ours = []
    for _ in range(ROUNDS):  # in turns, so that a busy moment of the machine is everybody's
        ours.append(_ours())
        for name, program in (("SimPy", SIMPY), ("Ciw", CIW)):
            if rate := _rate(python, program):
                others[name].append(rate)
    measured = {name: statistics.median(rates) for name, rates in others.items() if rates}
    rate = statistics.median(ours)
    beside = ", ".join(f"{name} {value / 1e6:.2f}" for name, value in measured.items()) or "no other could be installed"
    best = f"**{rate / max(measured.values()):.0f} x** · " if measured else ""
    stations = [Station("processor", 0.03), Station("disk", 0.02), Station("link", 0.01)]
    covered = sum(_queue(seed, 50_000).mean().covers(5.0) for seed in range(SEEDS))
    advice = statistics.median(seconds(lambda: advised(Scenario(told({"computers": 12})))) for _ in range(ROUNDS))
    whole = _milliseconds(lambda: exact(stations, 1000, 1.0))
    return [
        Row("events a second", f"{best}Commonhold {rate / 1e6:.2f}, {beside} million", "≥ 1.5 million"),
        Row(f"of {SEEDS} seeds, how many 95 % intervals cover the true mean", f"{covered}", "≥ 36"),
        Row("exact mean value analysis, 1,000 people at three stations", whole),
        Row("an advice for 12 computers, with what would change it", f"{advice:.1f} s"),
    ]


def _queue(seed: int, customers: int) -> Sample:
    drawn = chance(seed)
    route = Route(1.0, ((0, exponential(1.0, drawn)),))
    return open_([Facility("any")], route, exponential(1 / 0.8, drawn), requests=customers)


def _ours() -> float:
    began = time.process_time()
    sample = _queue(1, CUSTOMERS)
    return sample.events / (time.process_time() - began)


def _rate(python: Path, program: str) -> float:
    """Events a second; 0 where that simulator is not."""
    done = subprocess.run([python, "-c", program, str(CUSTOMERS)], capture_output=True, text=True, check=False)
    return float(done.stdout.split()[0]) if done.returncode == 0 else 0.0


def _milliseconds(what: Callable[[], object]) -> str:
    return f"{1000 * statistics.median(seconds(what) for _ in range(5)):.1f} ms"
