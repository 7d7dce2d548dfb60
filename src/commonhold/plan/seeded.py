"""Chance that can be repeated: the same scenario, the same words."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date

from commonhold.errors import WrongUsage
from commonhold.plan.advise import Advice, advise
from commonhold.plan.forecast import Model, model
from commonhold.plan.reach.exposure import Exposure
from commonhold.plan.textbook.claim import TriedClaim
from commonhold.plan.textbook.claims import tried
from commonhold.plan.trials.trial import Trial
from commonhold.plan.trials.validate import Validation, validate
from commonhold.plan.values.scenario import Scenario

SEED = 20


def chance(seed: int = SEED) -> random.Random:
    """It begins anew, the same each time."""
    return random.Random(seed)  # noqa: S311 - nothing secret is drawn


def advised(scenario: Scenario, exposed: Exposure | None = None, today: date | None = None) -> Advice:
    """The advice for a scenario; needs no network. `exposed`: what can be reached in the one that there is.

    With `today` it warns of old measurements.
    """
    return advise(scenario, chance, exposed, today)


def tried_claims(trials: Sequence[Trial], scenario: Scenario) -> list[TriedClaim]:
    """The textbook's claims, as far as these comparisons and that scenario go. Needs no network; takes seconds."""
    return tried(trials, scenario, chance)


def modelled(scenario: Scenario, people: Sequence[int] = (), percentiles: bool = False) -> Model:
    """What the models say of a scenario, for its own number of people unless told. Needs no network.

    Raises WrongUsage for a number of people that makes no sense.
    """
    return model(scenario, people or [int(scenario["people"])], chance, chance if percentiles else None)


def validated(trial: Trial) -> Validation:
    """What the models say of every point of a comparison, beside what was measured. Takes a fraction of a second each.

    Raises WrongUsage for a comparison without one person and many at a server, and for figures that cannot be.
    """
    try:
        return validate(trial, chance)
    except ArithmeticError:  # each figure by itself is possible, and all together are not
        raise WrongUsage(
            "This comparison shows what cannot be: answers in no time, or next to nothing that answers them.",
            "commonhold compare --save FILE writes one",
        ) from None
