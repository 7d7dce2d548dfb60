"""Several words of one command: one that fails does not hold up the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from commonhold.errors import CommonholdError, PartlyFailed


def severally(words: Sequence[str], work: Callable[[str], None]) -> None:
    """`work` for each word. Of one word its own error is raised; of several, at the end, what failed:

    PartlyFailed, or if nothing was done for one reason, that.
    """
    failed: list[tuple[str, CommonholdError]] = []
    for word in words:
        try:
            work(word)
        except CommonholdError as error:
            if len(words) == 1:
                raise
            failed.append((word, error))
    if not failed:
        return
    word, first = failed[0]
    alike = len({type(error) for _, error in failed}) == 1
    kind = type(first) if alike and len(failed) == len(words) else PartlyFailed
    more = [{"path": word, "error": error.sentence} for word, error in failed]
    sentence = f"{len(failed)} of {len(words)} failed; the first, {word}: {first.sentence}"
    raise kind(sentence, first.hint if alike else "", failed=more)
