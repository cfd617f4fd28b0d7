"""How a text leans on the model: secrecy, approval, threat, authority. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from scanners.mcp_rules.acts import SIGNS
from scanners.mcp_rules.grammar import negated, twice_negated
from scanners.mcp_rules.lexicon import BASE, ING, PAST
from scanners.mcp_rules.sentences import Hit, Sentence

SECRECY, APPROVAL = "kept from the user", "without approval"
WITHHELD = "keeps something back"

type Found = tuple[str, int, int]  # sign, first and last token of the sentence

_ABOUT_IT = frozenset(
    {"it", "this", "that", "about", "so", "anything", "them", "these", "to"}
)
_DEED = frozenset(
    {"that", "about", "this", "it", "you", "of", "and", "or", "because", "anything"}
    | {
        "what",
        "before",
        "since",
        "as",
        "so",
        "under",
        "even",
        "at",
        "why",
        "when",
        "but",
    }
)
_USED = frozenset(
    {"called", "used", "invoked", "executed", "calling", "using", "invoking", "runs"}
    | {"executing", "run", "calls", "uses", "invokes", "returned", "asks", "opened"}
)
_OWN = frozenset(
    {"you", "step", "requirement", "action", "instruction", "note", "call"}
)
_SECRET = frozenset({"not", "secretly", "keep", "conceal", "hush"})
_ASKS = frozenset({"ask", "asked", "asking", "confirm", "prompt"})
_UNASKED = frozenset({"consent", "ask", "unasked"})


GUARDED = 10  # words: "must not be pasted into a form without the user knowing"
# "Never a private key" speaks of none.
_OF_DATA = frozenset(
    {"speaks of private data", "speaks of a private file", "speaks of what is confided"}
)
_MENTIONED = [(sign, tuple(names)) for sign, names in SIGNS["mentioned"].items()]
# By a class the signs that it is mentioned in, by their place in the list.
_MENTIONING = {
    name: tuple(n for n, (_, names) in enumerate(_MENTIONED) if name in names)
    for name in {name for _, names in _MENTIONED for name in names}
}


def leanings_of(sentence: Sentence) -> Iterator[Found]:
    """Yield whether `sentence` keeps something from somebody, or asks nobody."""
    hits = sentence.hits
    if sentence.language == "en":
        if not _SECRET.isdisjoint(hits):
            yield from _secrecy(sentence)
        if not _UNASKED.isdisjoint(hits):
            yield from _approval(sentence)
    else:
        yield from _foreign(sentence)


def manners_of(sentence: Sentence) -> Iterator[Found]:
    """Yield how else `sentence` leans on the model."""
    yield from _single(sentence)
    yield from _paired(sentence)


def _single(sentence: Sentence) -> Iterator[Found]:
    there = {n for name in sentence.hits for n in _MENTIONING.get(name, ())}
    for sign, names in (_MENTIONED[number] for number in sorted(there)):
        for found in sentence.of(*names):
            if sign not in _OF_DATA or not negated(sentence, found):
                yield sign, found.first, found.last
                break


def _paired(sentence: Sentence) -> Iterator[Found]:
    """Signs that take two words."""
    for tell in sentence.of("tell"):
        own = {sentence.word(n) for n in range(tell.last, tell.last + 6)} & _OWN
        if own and negated(sentence, tell) and not twice_negated(sentence, tell):
            yield "hides its own deed", tell.first, tell.last
            break
    modals = sentence.of("modal")
    for model in sentence.of("model"):
        if any(abs(modal.first - model.last) <= 4 for modal in modals):
            yield "speaks to the model", model.first, model.last
            break
    for condition in sentence.of("condition"):
        used = sentence.has("use", condition.last, condition.last + 5)
        if used or sentence.language != "en":
            last = used.last if used else condition.last
            yield "depends on another action", condition.first, last
            break
    for condition in sentence.of("condition"):
        first, last = condition.first, condition.last + 7
        other = sentence.has("name", first, last) or sentence.has(
            "other_tool", first, last
        )
        if other and _USED & {sentence.word(n) for n in range(first, last + 2)}:
            yield "tied to another tool's use", first, other.last
            break
    for slot in sentence.of("slot"):
        if any(0 < slot.first - verb.first <= 12 for verb in sentence.of("pass")):
            yield "puts it into a parameter", slot.first, slot.last
            break
    for claim in sentence.of("authority"):
        if sentence.word(claim.last) in (":", "]", ")", "*") and claim.first <= 3:
            yield "claims authority", claim.first, claim.last
            break


def _secrecy(sentence: Sentence) -> Iterator[Found]:
    for first, last in _secret_parts(sentence):
        yield SECRECY, first, last
        return
    for tell in sentence.of("tell"):
        is_negated = negated(sentence, tell) and not twice_negated(sentence, tell)
        if is_negated and _is_about_the_user(sentence, tell):
            yield WITHHELD, tell.first - 1, tell.last
            return


def _secret_parts(sentence: Sentence) -> Iterator[tuple[int, int]]:
    for hit in sentence.of("secretly", "hush"):
        yield hit.first, hit.last
    for hit in sentence.of("tell"):
        is_negated = negated(sentence, hit) and not twice_negated(sentence, hit)
        if is_negated and _is_about_the_deed(sentence, hit):
            yield hit.first - 1, hit.last
    for keep in sentence.of("keep"):
        secret = sentence.has("secret", keep.last, keep.last + 6)
        is_secret_kept = sentence.has("private", keep.last, keep.last + 6)
        if secret and not is_secret_kept and not negated(sentence, keep):
            yield keep.first, secret.last
        source = sentence.has("from", keep.last, keep.last + 5)
        if source and sentence.has("user", source.last, source.last + 3):
            yield keep.first, source.last
    for hidden in sentence.of("conceal"):
        is_order = hidden.form == BASE and not negated(sentence, hidden)
        source = sentence.has("from", hidden.last, hidden.last + 6)
        named = source and sentence.has("user", source.last, source.last + 3)
        if is_order and (named or sentence.word(hidden.last) in _ABOUT_IT):
            yield hidden.first, hidden.last
    for no in sentence.of("not"):
        user = sentence.has("user", no.first - 4, no.first + 3)
        known = sentence.has("know", no.last, no.last + 6)
        if user and known and user.first < known.first:
            yield min(user.first, no.first), known.last
        is_guard = sentence.has("not", no.first - GUARDED, no.first)
        if sentence.word(no.first) == "without" and known and not is_guard:
            user = sentence.has("user", no.last, no.last + 4)
            if user:
                yield no.first, known.last


def _is_about_the_deed(sentence: Sentence, tell: Hit) -> bool:
    """Whether what is not to be told is what is done, and no answer or number."""
    if not _is_about_the_user(sentence, tell):
        return False
    user = sentence.has("user", tell.last, tell.last + 6)
    if user is None:
        return True
    between = {sentence.word(n) for n in range(tell.last, user.first)}
    after = sentence.word(user.last)
    tokens = sentence.tokens
    ends = user.last >= len(tokens) or tokens[user.last].kind == "mark"
    if between & _ABOUT_IT - {"to"} or ("you" in sentence.hits and "step" in between):
        return True
    is_bare = not between - {"the", "to", "your", "any", "a", "other", "their"}
    return is_bare and (ends or after in _DEED)


def _is_about_the_user(sentence: Sentence, tell: Hit) -> bool:
    """Whether the negated verb keeps something from somebody."""
    if tell.form == PAST:
        # "It must not be mentioned"; "is not shown" only describes.
        before = {sentence.word(tell.first - step) for step in (1, 2)}
        return "be" in before
    if tell.form not in (BASE, ING):
        return False
    if sentence.has("user", tell.last, tell.last + 6):
        return True
    after = sentence.word(tell.last)
    return after in _ABOUT_IT or tell.last >= len(sentence.tokens)


def _approval(sentence: Sentence) -> Iterator[Found]:
    for first, last in _approval_parts(sentence):
        yield APPROVAL, first, last
        return


def _approval_parts(sentence: Sentence) -> Iterator[tuple[int, int]]:
    for hit in sentence.of("unasked"):
        yield hit.first, hit.last
    for no in sentence.of("without"):
        if negated(sentence, no) or sentence.has("not", no.first - GUARDED, no.first):
            continue
        if consent := sentence.has("consent", no.last, no.last + 5):
            yield no.first, consent.last
    for ask in sentence.of("ask"):
        if not negated(sentence, ask):
            continue
        consent = sentence.has("consent", ask.last, ask.last + 6)
        rest = len(sentence.tokens) - ask.last
        ends = rest <= 2 and sentence.word(ask.first) in _ASKS
        again = "again" in (sentence.word(ask.last), sentence.word(ask.last + 1))
        if consent or again or ends:
            yield ask.first - 1, consent.last if consent else ask.last


def _foreign(sentence: Sentence) -> Iterator[Found]:
    hits = sentence.hits
    tells = sentence.of("tell")
    if secretly := sentence.of("secretly"):
        yield SECRECY, secretly[0].first, secretly[0].last
    elif tells and "user" in hits and "not" in hits:
        yield SECRECY, tells[0].first, tells[0].last
    # "Do not send it without asking" asks.
    is_single = len({hit.first for hit in sentence.of("not")}) == 1
    if is_single and (consents := sentence.of("consent")):
        yield APPROVAL, consents[0].first, consents[0].last
