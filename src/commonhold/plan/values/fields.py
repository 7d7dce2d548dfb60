"""Every number that advice rests on: what it means, which values make sense, and what is assumed of it. *Pure.*"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

MANY = 10_000  # computers, or people: nobody measured more
NOT_MEASURED = "was not measured"  # the source of a value that is of use only when it was
BENCHMARKS = "docs/benchmarks.md, of a slow core"


class Field(NamedTuple):
    """`low` to `high` is where 8 of 10 networks lie, as far as anybody knows; `whole` is what is counted."""

    section: str
    about: str
    unit: str
    least: float
    most: float
    assumed: float
    low: float
    high: float
    source: str
    whole: bool = False


FIELDS: Mapping[str, Field] = {
    "computers": Field("fleet", "computers in the network", "", 1, MANY, 5, 5, 5, "an example", True),
    "people": Field("fleet", "people who use it at once", "", 1, MANY, 5, 5, 5, "one at each computer", True),
    "cores": Field("fleet", "cores of an ordinary computer", "", 1, 1024, 4, 2, 8, "usual", True),
    "strength": Field(
        "fleet",
        "how many times as fast as an ordinary computer the server is",
        "",
        0.1,
        100,
        1,
        1,
        4,
        "an ordinary computer serves",
    ),
    "link": Field(
        "fleet", "each computer's link", "Mbit/s", 0.1, 400_000, 1000, 100, 1000, "Wi-Fi to Gigabit Ethernet"
    ),
    "hot": Field("fleet", "part of all requests that goes to the busiest computer", "", 0, 1, 0.3, 0.1, 0.6, "a guess"),
    "measured": Field(
        "fleet", "people in the largest load that was measured", "", 0, MANY, 0, 0, 0, NOT_MEASURED, True
    ),
    "serving": Field(
        "fleet",
        "how many times as long an owner's small task takes while files are served as fast as they are asked for",
        "",
        0,
        1000,
        0,
        0,
        0,
        NOT_MEASURED,
    ),
    "lending": Field(
        "fleet",
        "how many times as long an owner's small task takes while guests compute on all that is lent",
        "",
        0,
        1000,
        0,
        0,
        0,
        NOT_MEASURED,
    ),
    "think": Field(
        "work", "time between an answer and the same person's next request", "s", 0, 86_400, 10, 5, 20, "the workload"
    ),
    "processor": Field("work", "processor time of a request", "s", 0, 3600, 0.001, 0.0005, 0.002, "the workload"),
    "disk": Field("work", "disk time of a request", "s", 0, 3600, 0.001, 0.0005, 0.003, "the workload"),
    "transfer": Field(
        "work", "link time of a request", "s", 0, 3600, 0.001, 0.0005, 0.002, "the workload, by the link"
    ),
    "computing": Field("work", "what the task of a request computes", "s", 0, 86_400, 0, 0, 0, "the workload"),
    "response": Field(
        "need",
        "mean wait that people accept",
        "s",
        0.001,
        3600,
        1,
        0.5,
        2,
        "what keeps a train of thought (Miller 1968)",
    ),
    "strict": Field(
        "need",
        "whether one place must be able to shut somebody out of everything",
        "",
        0,
        1,
        0,
        0,
        0,
        "not asked for",
        True,
    ),
    "opened": Field("need", "part of all files that an ordinary person may change", "", 0, 1, 0.3, 0.1, 0.6, "a guess"),
    "used": Field("need", "hours a year in which the network is used", "h", 1, 8760, 2000, 1000, 8760, "office hours"),
    "patience": Field(
        "need", "time for which people wait for what is off, before they give up", "s", 0, 86_400, 30, 5, 300, "a guess"
    ),
    "off_for": Field(
        "need", "minutes for which something is off each time", "min", 0.1, 100_000, 30, 5, 240, "a guess"
    ),
    "owners": Field(
        "need", "part of the time in which a peer's owner needs its processors", "", 0, 0.99, 0.3, 0.1, 0.6, "a guess"
    ),
    "visit": Field(
        "need", "minutes for which an owner needs them each time", "min", 0.01, 10_000, 20, 5, 120, "a guess"
    ),
    "years": Field("money", "years", "", 1, 20, 5, 5, 5, "usual", True),
    "rate": Field("money", "an hour of a person", "", 0, 1000, 30, 20, 45, "a wage in euros"),
    "power": Field("money", "a kWh", "", 0, 5, 0.287, 0.13, 0.384, "euros: Eurostat, households, early 2025"),
    "server": Field(
        "money",
        "a computer bought to serve",
        "",
        0,
        1e6,
        1500,
        0,
        3000,
        "prices in euros of mini PCs and small servers",
    ),
    "server_watts": Field("money", "the server's power", "W", 0, 5000, 60, 12, 100, "mini PC to small server"),
    "computer_watts": Field("money", "an ordinary computer's power", "W", 0, 2000, 50, 20, 80, "usual"),
    "awake": Field("money", "hours a day for which a peer stays on only for others", "h", 0, 24, 4, 0, 14, "a guess"),
    "server_care": Field("money", "hours a year to look after the server", "h", 0, 2000, 12, 6, 30, "a guess"),
    "person_care": Field(
        "money", "hours a year for each person's account at a server", "h", 0, 100, 0.5, 0.2, 1, "a guess"
    ),
    "computer_care": Field("money", "hours a year to look after each peer", "h", 0, 500, 1, 0.5, 2, "a guess"),
    "pair_care": Field(
        "money",
        "minutes a year for each pair of peers whose owners let one another in",
        "min",
        0,
        600,
        0.5,
        0.1,
        2,
        "a guess",
    ),
    "server_outage": Field(
        "money", "hours a year for which the server is off when it is wanted", "h", 0, 8760, 8, 2, 30, "a guess"
    ),
    "computer_outage": Field(
        "money", "hours a year for which a peer is off when it is wanted", "h", 0, 8760, 2, 0.5, 8, "a guess"
    ),
    "lost": Field("money", "part of the work that is lost meanwhile", "", 0, 1, 0.3, 0.1, 0.6, "a guess"),
    "dependants": Field("money", "people who wait when one peer is off", "", 0, MANY, 1, 0.5, 3, "a guess"),
    "disk_rate": Field("rates", "what a disk reads or stores", "MB/s", 0.1, 100_000, 200, 100, 500, "disks of laptops"),
    "sync": Field(
        "rates", "until a file that was stored is on the disk for certain", "s", 0, 10, 1e-3, 2e-4, 1e-2, "usual SSDs"
    ),
    "read": Field("rates", "processor time of reading a file", "s", 0, 10, 0.15e-3, 1e-4, 1e-3, BENCHMARKS),
    "read_byte": Field("rates", "and for each byte of it", "ns", 0, 1000, 0.5, 0.3, 2, BENCHMARKS),
    "write": Field("rates", "processor time of storing a file", "s", 0, 10, 0.5e-3, 3e-4, 3e-3, BENCHMARKS),
    "write_byte": Field("rates", "and for each byte stored", "ns", 0, 1000, 1.5, 1, 5, BENCHMARKS),
    "listing": Field("rates", "processor time of listing a folder", "s", 0, 10, 5e-3, 1e-3, 1e-2, BENCHMARKS),
    "start": Field(
        "rates", "processor time of a task beside what it computes", "s", 0, 60, 5e-3, 3e-3, 2e-2, BENCHMARKS
    ),
}
