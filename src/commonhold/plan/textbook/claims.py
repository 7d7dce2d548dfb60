"""What textbooks say of the two shapes, and how each of it came out. *Pure.*

In our words: ten claims of one page, and one more that it makes in passing. Four of them need comparisons; the others
are computed from models of networks, or counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from commonhold.plan.advise import Again
from commonhold.plan.textbook.claim import TriedClaim
from commonhold.plan.textbook.felt import because_shared, by_power, few_clients, heavy_lifting
from commonhold.plan.textbook.hazards import breaking, more_secure, more_with_each
from commonhold.plan.textbook.profiles import dearer, large, professionals, small
from commonhold.plan.trials.trial import Trial
from commonhold.plan.values.scenario import Scenario

COMPARE = "commonhold compare --computers 16 --people 2,4,8,12,16 --placement even --placement hot:0.5"
TRY = {
    2: COMPARE,
    3: f"{COMPARE} --power 1, and once more with --power 0.5",
    4: f"{COMPARE} --naive",
    5: COMPARE,
}


def tried(trials: Sequence[Trial], scenario: Scenario, chance: Again) -> list[TriedClaim]:
    """All of them, by number: comparisons show some, the scenario's money others, and models of networks the rest."""
    found = [
        more_secure(),
        few_clients(trials),
        by_power(trials),
        because_shared(trials),
        heavy_lifting(trials),
        breaking(),
        dearer(scenario, chance),
        professionals(),
        small(chance),
        large(chance),
        more_with_each(),
    ]
    return [each if each.verdict != "untried" else replace(each, because=_untried(each)) for each in found]


def _untried(claim: TriedClaim) -> str:
    """What was seen, if that is too little, and what would show more."""
    if claim.because:
        return f"{claim.because} That shows too little; more: {TRY[claim.number]}."
    return f"No comparison shows it yet: {TRY[claim.number]}."
