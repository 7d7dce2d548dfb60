"""`commonhold status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.lend import guest_words, terms
from commonhold.cli.limits import computing, storing
from commonhold.cli.output import aligned, counted, local
from commonhold.errors import NodeNotRunning

if TYPE_CHECKING:
    from commonhold.answers import OpenInvitation, Quota, Status


@declare("status", "commonhold status", "commonhold --json status")
def command(invocation: Invocation) -> None:
    """When the node is down it shows what is known without it."""
    settings = invocation.home.settings()
    try:
        with invocation.network() as network:
            status = network.status()
    except NodeNotRunning as error:
        known = {"computer": settings.computer, "network_id": settings.network, "running": False}
        invocation.out.answer(known, *aligned([("computer:", settings.computer), ("running:", "no")]))
        invocation.out.remark(f"hint: {error.hint}")
        return
    invocation.out.answer(status, *aligned(list(_rows(status))))


def _rows(status: Status) -> list[tuple[str, str]]:
    rows = [
        ("network:", f"{status.network} ({status.shape}{', trusting' if status.trusting else ''})"),
        ("computer:", f"{status.computer} ({status.role}), {counted(status.members, 'member')} in all"),
        ("person:", status.person),
        ("key:", status.words),
        ("running:", f"yes, process {status.pid}"),
        ("listener:", ", ".join(status.listener) or "none"),
        ("gateway:", status.gateway or "none"),
        ("lends:", _lends(status)),
        *(("guest:", "  ".join(guest_words(guest))) for guest in status.guests),
        ("jobs run at:", status.jobs_at),
        *(("open code:", _invitation(each)) for each in status.invitations),
        ("alarm:", status.alarm),
    ]
    rows += [("wish:", f"{w.wish}, signed by {', '.join(w.signed)}; to agree: {w.agree}") for w in status.proposals]
    rows += [("shares:", f"{o.share}  {o.folder}{'  (missing now)' if o.missing else ''}") for o in status.shares]
    rows += [("quota:", f"{quota.person}: at most {_limits(quota)}") for quota in status.quotas]
    return [(head, text) for head, text in rows if text]


def _limits(quota: Quota) -> str:
    return ", ".join(filter(None, (storing(quota), computing(quota))))


def _invitation(each: OpenInvitation) -> str:
    left = f"{counted(each.uses, 'use')} and {counted(each.tries, 'try', 'tries')} left, ends at {local(each.expires)}"
    return f"number {each.number}{f', for {each.person}' if each.person else ''}, {left}"


def _lends(status: Status) -> str:
    if status.role == "client" or status.lend.when == "never":
        return "never"
    return f"{terms(status.lend)}; tasks are held by {status.sandbox or 'limits'}"
