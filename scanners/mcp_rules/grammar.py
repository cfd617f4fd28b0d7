"""Who is told to do what: orders, descriptions and negations. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from scanners.mcp_rules.lexicon import BASE, ING, PAST
from scanners.mcp_rules.sentences import Hit, Sentence

NEGATED_WITHIN = 4
_NOUN_BEFORE = frozenset(
    {
        "a",
        "an",
        "the",
        "this",
        "each",
        "any",
        "of",
        "s",
        "no",
        "another",
        "its",
        "their",
    }
    | {"for", "in", "on", "from", "with", "by", "your", "per", "new", "that", "user"}
    | {"which", "one", "first-time", "these", "those", "some", "current", "last"}
)
_OPENERS = frozenset(
    {"and", "then", "also", "please", "just", "simply", "always", "or", "first", "you"}
    | {"immediately", "silently", "secretly", "quietly", "automatically", "instead"}
    | {"must", "should", "shall", "will", "can", "now", "so", "but", "next", "finally"}
    | {"may", "additionally", "thereafter", "afterwards", "kindly", "only", "to"}
    | {"discreetly", "covertly", "twice", "again", "still", "everyone", "do", "lets"}
    | {
        "instruction",
        "system",
        "important",
        "note",
        "task",
        "step",
        "even",
        "assistant",
    }
)
_ORDERED_TO = frozenset(
    {"need", "needs", "have", "has", "required", "must", "asked", "instructed", "sure"}
    | {"remember", "expected", "essential", "necessary", "important", "told", "is"}
    | {"mandatory", "ought", "supposed", "crucial", "vital", "imperative", "forget"}
    | {"fail", "hesitate", "requires", "are", "continue", "proceed", "want", "order"}
)
_WANTED = frozenset(
    {"permit", "want", "wants", "need", "needs", "ask", "asks", "order", "orders"}
    | {
        "instruct",
        "instructs",
        "require",
        "requires",
        "tell",
        "tells",
        "expect",
        "asked",
    }
)
_LEANING = frozenset(
    {"modal", "condition", "you", "secretly", "not", "model", "always", "name"}
    | {"other_tool", "danger_words", "harm", "later"}
)
# "Begin by reading it" orders as "read it" does.
_STARTS = frozenset({"begin", "start", "open", "continue", "proceed", "finish", "end"})
# "If cc is left out": a word before one of these is what the sentence speaks of.
_FINITE = frozenset({"is", "isnt", "are", "arent", "was", "were", "has", "have"})
_BE = frozenset({"be", "been", "get", "being"})
REFUSED_WITHIN, REFUSED_APART = 2, 16  # words, or signs where there are no blanks
_WITHOUT = frozenset(
    {"ohne", "sans", "sin", "sem", "senza", "zonder", "utan", "bez", "без", "tanpa"}
    | {"olmadan", "없이", "未经", "بدون", "बिना", "không"}
)
# "Do not forget to send it" orders it.
_LIFTS = frozenset({"hesitate", "forget", "fail", "only"})


def negated(sentence: Sentence, hit: Hit) -> bool:
    """Whether the words before `hit` turn it into its contrary."""
    position = hit.first - 1
    for position in range(hit.first - 1, hit.first - 1 - NEGATED_WITHIN, -1):
        if position < 0 or sentence.tokens[position].kind == "mark":
            return False
        if sentence.tokens[position].word in ("but", "instead"):
            return False
        if any(no.first == position for no in sentence.of("not")):
            return sentence.word(position + 1) not in _LIFTS
    return False


def twice_negated(sentence: Sentence, hit: Hit) -> bool:
    """Whether two negations before `hit` cancel out: "never send without showing"."""
    noes = {no.first for no in sentence.of("not") if 0 < hit.first - no.first <= 7}
    return len(noes) > 1 and "without" in {sentence.word(no) for no in noes}


def ordered(sentence: Sentence, hit: Hit, *, leans: bool = False) -> bool:
    """Whether the verb `hit` is an order to the reader.

    Where a sentence `leans` on somebody, what it describes counts as well.
    """
    if sentence.language != "en":
        return not _refused(sentence, hit)
    if _is_no_verb(sentence, hit):
        return False
    if leans and sentence.word(hit.first - 1) not in _NOUN_BEFORE:
        return not negated(sentence, hit)
    if hit.form == BASE:
        return _is_imperative(sentence, hit) and not negated(sentence, hit)
    if hit.form == ING:
        starts = sentence.word(hit.first - 2) in _STARTS
        return starts and sentence.word(hit.first - 1) in ("by", "with")
    if hit.form == PAST:
        before = {sentence.word(hit.first - step) for step in (1, 2)}
        has_modal = bool(sentence.has("modal", hit.first - 6, hit.first))
        return bool(before & _BE) and has_modal and not negated(sentence, hit)
    return False


def opens(sentence: Sentence, hit: Hit) -> bool:
    """Whether a sentence begins with the base form `hit`, order or description."""
    is_base = sentence.language == "en" and hit.form == BASE
    is_verb = is_base and not _is_no_verb(sentence, hit)
    return is_verb and _begins(sentence, hit) and not negated(sentence, hit)


def _is_no_verb(sentence: Sentence, hit: Hit) -> bool:
    """Whether `hit` only helps to forbid ("do not"), or is what a sentence is about."""
    if hit.form == BASE and sentence.word(hit.last) in _FINITE:
        return True
    is_do = hit.last == hit.first + 1 and sentence.word(hit.first) == "do"
    return is_do and sentence.has("not", hit.last, hit.last + 1) is not None


def _refused(sentence: Sentence, verb: Hit) -> bool:
    """Whether a word of refusal stands close before `verb`, in any language.

    "Without" refuses what is named after it, and not what is done without it.
    """
    tokens = sentence.tokens
    for no in sentence.of("not"):
        between = tokens[no.last : verb.first]
        apart = tokens[verb.first].start - tokens[no.last - 1].end
        if not 0 <= verb.first - no.last <= REFUSED_WITHIN or apart > REFUSED_APART:
            continue
        is_without = tokens[no.first].word in _WITHOUT
        is_other = sentence.has("tell", no.last, verb.first) is not None
        if not is_without and not is_other and all(t.kind != "mark" for t in between):
            return True
    return False


def _is_imperative(sentence: Sentence, hit: Hit) -> bool:
    before = sentence.word(hit.first - 1)
    if before in _NOUN_BEFORE:
        return False
    if before == "to":
        words = {sentence.word(hit.first - step) for step in (2, 3, 4)}
        if sentence.word(hit.first - 2) == "you":
            # "I permit you to" orders; "allows you to" describes.
            return sentence.word(hit.first - 3) in _WANTED
        return bool(words & _ORDERED_TO)
    is_described = sentence.position == 0 and not leaning(sentence.hits)
    if _begins(sentence, hit):
        return not is_described or hit.first > 0
    if before in _OPENERS or sentence.tokens[hit.first - 1].kind == "mark":
        return not is_described
    first = hit.first - 4
    return bool(
        sentence.has("modal", first, hit.first)
        or sentence.has("condition", 0, hit.first)
        or sentence.has("secretly", first, hit.first)
    )


def _begins(sentence: Sentence, hit: Hit) -> bool:
    return all(token.kind == "mark" for token in sentence.tokens[: hit.first])


def leaning(hits: Mapping[str, object]) -> bool:
    """Whether a first sentence does more than to describe."""
    return not _LEANING.isdisjoint(hits)
