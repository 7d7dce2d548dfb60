"""A job as the journal knows it, to run from now on, or on."""

from __future__ import annotations

from commonhold.authority.authority import Subject
from commonhold.authority.watch import Watch
from commonhold.compute.hub.means import Means
from commonhold.compute.hub.running import Running
from commonhold.compute.job import Input
from commonhold.compute.lender.lend import Lending
from commonhold.errors import Refused


class Recalling:
    """Of one hub."""

    def __init__(self, means: Means, watch: Watch, lending: Lending) -> None:
        self._means, self._watch, self._lending = means, watch, lending

    def laid_out(self, number: int) -> Running:
        """With all its tasks. Raises as `subject` does."""
        running = self.running(number, self.subject(number))
        journal = self._means.journal
        inputs: list[Input | None] = list(running.spec.inputs) or [None]
        tasks = inputs * (journal.job(number).total // len(inputs))
        running.lay_out(tasks, journal.places(number), self._means.sources(number, tasks))
        return running

    def running(self, number: int, subject: Subject) -> Running:
        """Without tasks yet. Raises NotFound when the computer of its outputs is none any more."""
        spec = self._means.journal.spec(number)
        into = spec.into or f"{self._means.computer}:.job-{number}/out"
        return Running(number, subject, spec, into, self._means.remote(into))

    def subject(self, number: int) -> Subject:
        """Whose job it is, as the rules of this moment see them. Raises Refused when they may not run here."""
        journal = self._means.journal
        subject = self._watch.authority().who(journal.submitter(number))
        self._lending.require_right(subject)
        if subject.person != journal.person(number):
            raise Refused(f"Job {number} was submitted from a computer that belongs to somebody else now.")
        return subject
