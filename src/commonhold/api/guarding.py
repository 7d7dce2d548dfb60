"""Who guards, and putting a network right with its recovery key."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import quote

import msgspec

from commonhold.answers import GuardWish, Recovered, RecoveryDraft, Trouble
from commonhold.api.asking import Asking
from commonhold.authority.charter import KIND
from commonhold.identity.code import RECOVERY_BYTES, recovery_key, recovery_words
from commonhold.identity.envelope import sign


class Guarding(Asking):
    """The computers whose signatures admit and remove."""

    def guard_add(self, computer: str) -> GuardWish:
        """Make a member a guard; it may take other guards' agreement (`done`). Raises Refused, NotFound, Conflict."""
        return self._ask("PUT", f"/api/guards/{quote(computer, safe='')}", answer=GuardWish)

    def guard_remove(self, computer: str) -> GuardWish:
        """Let a guard be none any more; it stays a member. Raises Refused, NotFound, Conflict (the last guard)."""
        return self._ask("DELETE", f"/api/guards/{quote(computer, safe='')}", answer=GuardWish)

    def recover(
        self,
        words: str,
        remove: Sequence[str] = (),
        since: datetime | None = None,
        *,
        new_key: bool = False,
        agreed: Callable[[RecoveryDraft], None] | None = None,
    ) -> Recovered:
        """Make this computer a guard (of a server's network: the server) with the recovery key's twelve words.

        `remove` takes lost or stolen computers out; with `since`, what those guards said of others after that time is
        void. `new_key` replaces the recovery key: the words of the new one are in the answer. `agreed` hears what
        would be done, and stops it by raising. The words themselves are not sent to the node. When this computer
        becomes something else (`restarts`), its node begins anew: connect again. Raises Refused, WrongUsage, NotFound.
        """
        key = recovery_key(words)
        fresh = recovery_words(secrets.token_bytes(RECOVERY_BYTES)) if new_key else ""
        spki = recovery_key(fresh).spki if fresh else None
        wish = {"key": key.spki, "remove": list(remove), "since": since, "new_key": spki}
        draft = self._ask("POST", "/api/recovery/draft", wish, answer=RecoveryDraft)
        if agreed is not None:
            agreed(draft)
        done = self._ask("POST", "/api/recovery", sign(draft.charter, KIND, [key]), answer=Recovered)
        told = {name: getattr(draft, name) for name in ("removed", "back", "out")}
        return msgspec.structs.replace(done, recovery=fresh, **told)

    def doctor(self) -> list[Trouble]:
        """What is wrong or could be better, the gravest first, each with its cure; nothing when all is well."""
        return self._ask("GET", "/api/health", answer=list[Trouble])
