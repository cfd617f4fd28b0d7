"""Texts that tell the model what to do: acts, and how they are urged on it.

Neither is rare in an honest description. Together, within a few sentences, they are.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from scanners.mcp_rules.acts import ACTS, SIGNS, acts_of, order_of, orders_any
from scanners.mcp_rules.manners import (
    APPROVAL,
    SECRECY,
    WITHHELD,
    leanings_of,
    manners_of,
)
from scanners.mcp_rules.matches import Match, Span, in_text, shown
from scanners.mcp_rules.reading import Reading
from scanners.mcp_rules.sentences import Sentence
from scanners.mcp_rules.spoken import PLAINLY, Spoken
from scanners.mcp_rules.texts import Role, Text

HIDDEN, UNASKED = "MCP-INSTRUCTION-004", "MCP-INSTRUCTION-005"
TEMPLATE, SECRECY_ALONE = "MCP-INSTRUCTION-003", "MCP-INSTRUCTION-010"

MANNERS: dict[str, float] = SIGNS["manners"]
OVERRIDES = "overrides instructions"
WINDOW, ENOUGH = int(SIGNS["window"]), float(SIGNS["enough"])
# To keep a deed from the user, or to ask nobody, is an act as well, if one of these
# stands beside it.
_PROOFS = frozenset({"marked as an order", "hides its own deed"})
# A parameter that is made for a secret may be filled with one.
_KEY = re.compile(r"(?i)key|token|secret|passw|credential|auth|cookie")
_ASKED = frozenset(
    {"reads what is private", "hands over what is private", "takes the user's secrets"}
    | {"asks people for secrets", "demands what is private"}
)
_RULES = {name: act.rule for name, act in ACTS.items()}
_RULES |= {SECRECY: HIDDEN, APPROVAL: UNASKED}
_CERTAIN = frozenset(name for name, act in ACTS.items() if act.certain)
_WEIGHTS = MANNERS | {name: act.weight for name, act in ACTS.items()}

_TEMPLATE = re.compile(
    r"(?i)\[/?INST\]|<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id"
    r"|start_header_id)\b[^|\n]{0,40}\|>|<</?SYS>>|\n\s{0,8}#{2,6}\s{0,4}(?:system|instruction):|</?s>\s{0,4}\[|<start_of_turn>"
    r"|\n\n(?:Human|Assistant|System):\s"
)
_TEMPLATE_MARKS = ("<", "[", "##", "\n\n")
_MARKED = re.compile(
    r"""(?ix)
    <(?:system|secret|instructions?|hidden|admin|assistant|important|critical|prompt
      |override|directive|mandatory|urgent|internal|developer|priority|attention)
      (?![ _-]?notes?>)(?:[ _:-][^<>\n]{0,60})?>
    | \[(?:system|admin|override|instructions?|hidden|internal)\b[^\[\]\n]{0,60}\]
    | \[/?(?:[a-z]{2,20}_)?(?:system|override|directive|priority|instruction|bypass)
      (?:_[a-z]{2,20})?\] | <\|/?(?:priority|system|override)\|>
    | (?<!\#)\#{3,}\s{0,4}(?:system|instruction|override|important)
    | (?<!-)-{3,}\s{0,4}(?:system|instruction|begin|end)\b
    | (?<!=)={3,}\s{0,4}(?:system|begin|instruction)
    """
)
_LABEL = re.compile(
    r"(?:\A|(?<=[.!?>\n*\]:] )|(?<=[.!?>\n*\]]))"
    r"(?:(?:SYSTEM|GLOBAL|ADMIN|DEVELOPER|PRIORITY|HIDDEN|CONTEXT)[ _]"
    r"(?:DIRECTIVE|RULE|UPDATE|OVERRIDE|NOTE|NOTICE|INSTRUCTION|MODE|MESSAGE|COMMAND)S?\b"
    r"|(?:SYSTEM|OVERRIDE|ADMIN|SILENT)(?=:))"
)
_DANGER = re.compile(
    r"""(?ix)
    \bcurl\b[^\n]{0,100}\s(?:-d|--data\S{0,10}|-F|-T|--upload-file|-X\s{0,2}POST)\b
    | \brm\s+-[rf]{1,2}\b
    | \bchmod\s+(?:-R\s+)?(?:\+x|[0-7]{3,4})\b | \bnc\s+(?:-[a-z]{0,4}e\b|\d)
    | /dev/tcp/ | \bbase64\s+(?:-d|--decode)\b | \beval\s{0,2}\( | \bos\.system\b
    | \bsubprocess\.\w | \bnpm\s+(?:i|install)\s+-g\b | \bcrontab\b | \bmkfifo\b
    | \*/\d{1,2}\s\*\s\*\s\*\s\* | \bpowershell\b[^\n]{0,40}\s-(?:e|enc|nop|w)\b
    | \bGRANT\s+ALL\b | \b(?:execut\w+|run)\s+DROP\s | \bTO\s+PROGRAM\b
    | --privileged\b | \bnohup\s | \bgit\s+push\b[^\n]{0,40}--force | --no-verify
    | \binvoke-expression\b | \biex\s{0,2}\( | \bprintenv\b | `env` | \bscp\s
    | \bmkfs\b | \bdd\s+if=
    """
)
_PIPED = re.compile(
    r"(?i)\b(?:curl|wget|fetch)\b[^|\n]{0,200}\|\s{0,4}(?:sudo\s)?(?:ba|z|da)?sh\b"
)
_SHOWN = re.compile(r"(?i)\b(?:cat|type)\s+(?:~|/etc|\.env|\$HOME)")
# Addresses that answer only from within: metadata of a cloud, the machine itself.
_INSIDE = re.compile(
    r"""(?ix)
    \b169\.254\.(?:169\.254|170\.2)\b | \b100\.100\.100\.200\b | \bfd00:ec2::254\b
    | \bmetadata\.google\.internal\b | \bmetadata\s+(?:ip|endpoints?|service)\b
    | \bcomputeMetadata/ | \blatest/(?:meta-data|user-data)\b | \bgopher://
    | \bhttps?://(?:127\.0\.0\.1|localhost|\[::1\]|0\.0\.0\.0)
      (?::(?:22|2375|2376|6379|9200|10250|8500))?/?\S{0,40}
      (?=.{0,60}(?:\[::1\]|localhost|127\.0\.0\.1))
    | \bfile:///(?:etc|proc|root)\b
    """
)
_EXPLOIT = re.compile(
    r"""(?ix)
    <script\b[^>]{0,200}> | \bonerror\s{0,2}= | \bonload\s{0,2}= | \bjavascript:\w
    | \bdocument\.cookie\b | '\s{0,2}or\s+'?\w{1,5}'?\s{0,2}=\s{0,2}'?\w
    | \bunion\s+(?:all\s+)?select\b
    | (?:\.\./){3} | (?:\.\./){1,2}\.\. | \$\{jndi: | /etc/cron | /proc/self/
    """
)
_CHAINED = re.compile(
    r"(?i);\s{0,4}(?:drop\s+table|delete\s+from|truncate|id\b|cat\s|rm\s|curl\s|wget\s)"
)
_ERROR = re.compile(r"(?i)(?:\A|\n)\s{0,8}error:")
_COMMENT = re.compile(r"<!--|\[(?://|comment|hidden)\]: ")
# Without one of its marks, in small letters but for labels and with one blank where
# there are several, a pattern finds nothing.
_LABELS = (
    *("SYSTEM", "GLOBAL", "ADMIN", "DEVELOPER", "PRIORITY", "HIDDEN", "CONTEXT"),
    *("OVERRIDE:", "SILENT:"),
)
_ADDRESSES = (
    *("169.254", "100.100", "metadata", "user-data", "gopher", "localhost"),
    *("127.0.0.1", "file:///", "fd00:"),
)
_FRAGMENTS = (
    *("<script", "onerror", "onload", "javascript:", "document.cookie", "' or", "'or"),
    *("union ", "../", "jndi", "/etc/cron", "/proc/self"),
)
_COMMANDS = (
    *("curl", "rm -", "chmod", "nc ", "/dev/tcp", "base64", "eval(", "eval ("),
    *("os.system", "subprocess", "npm i", "crontab", "mkfifo", "* * *", "powershell"),
    *("grant", "drop", "program", "--privileged", "nohup", "git push", "--no-verify"),
    *("iex", "invoke", "printenv", "`env`", "scp ", "mkfs", "dd if"),
)


class Pattern(NamedTuple):
    """What is a sign by its form, and the marks without which it is not there."""

    name: str
    form: re.Pattern[str]
    marks: Sequence[str]


_PATTERNS = (
    Pattern("marked as an order", _MARKED, ("<", "[", "###", "---", "===")),
    Pattern("dangerous command", _PIPED, ("|",)),
    Pattern("dangerous command", _DANGER, _COMMANDS),
    Pattern("dangerous command", _SHOWN, ("cat ", "type ")),
    Pattern("in a comment", _COMMENT, ("<!--", "]: ")),
    Pattern("marked as an order", _LABEL, _LABELS),
    Pattern("comes as an error", _ERROR, ("error:",)),
    Pattern("reaches inside the network", _INSIDE, _ADDRESSES),
    Pattern("plants an exploit", _EXPLOIT, _FRAGMENTS),
    Pattern("plants an exploit", _CHAINED, (";",)),
)
# Honest texts name these; to order something with them is another thing.
_ORDERED = frozenset({"reaches inside the network", "plants an exploit"})
_QUOTES = "\"'\u201c\u201d"


class Sign(NamedTuple):
    """A sign in one sentence; offsets lead into the reading."""

    name: str
    sentence: int
    start: int
    end: int
    head: int = -1  # where the verb of an act begins


def find(
    read: Sequence[tuple[Text, Sequence[Spoken]]], *, doubt: float
) -> Iterator[Match]:
    """Yield what an element orders the model to do; its texts are `read` in all ways.

    What otherwise reads like honest texts takes more signs: those have to outweigh a
    `doubt`, too.
    """
    marked = _marked(read)
    for text, spoken in read:
        known: set[str] = set()
        has_its_own = text.role is Role.PARAMETER_TEXT and _KEY.search(text.parameter)
        for way in spoken:
            for match in _in_reading(text, way, marked, doubt=doubt):
                if has_its_own and match.spans[0].sign in _ASKED:
                    continue
                if match.rule not in known:
                    known.add(match.rule)
                    yield match


def _marked(read: Sequence[tuple[Text, Sequence[Spoken]]]) -> list[Pattern]:
    """Return the patterns that may be found in an element: whose marks it has."""
    all_texts = "\n".join([way.reading.text for _, ways in read for way in ways])
    small = all_texts.lower().replace("\n", " ")
    # Several blanks count as one, and so does any other kind of them.
    if "  " in small or not (small.isascii() and small.isprintable()):
        small = " ".join(small.split())
    return [
        pattern
        for pattern in _PATTERNS
        if _holds(all_texts if pattern.marks is _LABELS else small, pattern.marks)
    ]


def _in_reading(
    text: Text, way: Spoken, marked: Sequence[Pattern], *, doubt: float
) -> Iterator[Match]:
    # What somebody took the trouble to hide needs fewer signs.
    reading = way.reading
    is_plain = reading.how in PLAINLY
    enough = ENOUGH if is_plain else ENOUGH - 2
    for sentences in way.languages:
        signs = _signs(reading.text, sentences, marked)
        if not signs:
            continue
        least = enough + doubt if is_plain else enough
        # To override what the model was told is an attack however honest the rest is,
        # unless it is quoted.
        sure = {
            sign
            for sign in signs
            if sign.name == OVERRIDES and not _begins_quoted(reading.text, sign)
        }
        for rule, together in _rules(signs, least, sure):
            spans = [_span(sign, reading) for sign in together]
            yield in_text(rule, text, spans, seen=reading.how, key=rule)
    has_mark = _holds(reading.text, _TEMPLATE_MARKS)
    if has_mark and (templates := list(_TEMPLATE.finditer(reading.text))):
        spans = [
            Span(
                *reading.span(*found.span()), "mark of a chat template", shown(found[0])
            )
            for found in templates
        ]
        yield in_text(TEMPLATE, text, spans, seen=reading.how, key="template")


def _span(sign: Sign, reading: Reading) -> Span:
    start, end = reading.span(sign.start, sign.end)
    return Span(start, end, sign.name, shown(reading.text[sign.start : sign.end]))


def _begins_quoted(text: str, sign: Sign) -> bool:
    return text[max(sign.start - 1, 0) : sign.start] in {*_QUOTES, "`"}


def _rules(
    signs: list[Sign], least: float, sure: set[Sign]
) -> Iterator[tuple[str, list[Sign]]]:
    """Yield each rule that matches with the signs that made it match.

    The signs have to weigh `least`, and of what is `sure` no more than ever.
    """
    best: dict[str, tuple[float, list[Sign]]] = {}
    near = _near(signs)
    for act in signs:
        if act.name not in _RULES:
            continue
        enough = min(least, ENOUGH) if act in sure else least
        together = near[act.sentence] | {act.name: act}
        score = _score(together.values())
        has_manner = any(name in MANNERS for name in together if name != act.name)
        alone = _WEIGHTS[act.name] >= ENOUGH or enough < ENOUGH
        rule = _RULES[act.name]
        if act.name not in ACTS and _PROOFS.isdisjoint(together):
            continue
        is_certain = act.name in _CERTAIN or (
            act.name == SECRECY and "marked as an order" in together
        )
        least = min(enough, ENOUGH) if is_certain else enough
        is_enough = score >= least and (has_manner or alone)
        if is_enough and score > best.get(rule, (0, []))[0]:
            best[rule] = (score, _shown_first(act, together))
    yield from ((rule, signed) for rule, (_, signed) in best.items())
    for manner, rule in ((SECRECY, HIDDEN), (APPROVAL, UNASKED)):
        for _, signed in best.values():
            if rule not in best and any(sign.name == manner for sign in signed):
                yield rule, signed
                break
    if not best:
        for sign in signs:
            if sign.name in (SECRECY, WITHHELD):
                yield SECRECY_ALONE, [sign]
                break


def _near(signs: list[Sign]) -> dict[int, dict[str, Sign]]:
    """Return by sentence the first sign of each name around it.

    Of each name one: a text of nothing but signs takes no longer than another.
    """
    here: dict[int, dict[str, int]] = {}
    for place, sign in enumerate(signs):
        here.setdefault(sign.sentence, {}).setdefault(sign.name, place)
    near = {}
    for sentence in here:
        first: dict[str, int] = {}
        for other in range(sentence - WINDOW, sentence + WINDOW + 1):
            for name, place in here.get(other, {}).items():
                first[name] = min(place, first.get(name, place))
        near[sentence] = {
            name: signs[place]
            for name, place in sorted(first.items(), key=lambda each: -each[1])
        }
    return near


def _score(signs: Iterable[Sign]) -> float:
    """Return the sum of the weights; of the acts of one verb the heaviest counts."""
    heads: dict[int, float] = {}
    total = 0.0
    for sign in signs:
        weight = _WEIGHTS[sign.name]
        if sign.head < 0:
            total += weight
        else:
            heads[sign.head] = max(heads.get(sign.head, 0), weight)
    return total + sum(heads.values())


def _shown_first(act: Sign, together: dict[str, Sign]) -> list[Sign]:
    rest = [sign for sign in together.values() if sign is not act]
    rest.sort(key=lambda sign: -_WEIGHTS[sign.name])
    return [act, *rest]


def _signs(
    text: str, sentences: list[Sentence], marked: Sequence[Pattern]
) -> list[Sign]:
    """Return the acts of a text, and the manners around them."""
    spoken = [sentence for sentence in sentences if sentence.tokens]
    signs: list[Sign] = []
    for sentence in spoken:
        leanings = list(leanings_of(sentence))
        for name, first, last in leanings:
            signs += _sign(text, sentence, name, (first, last, -1))
        for name, first, last, head in acts_of(sentence, leans=bool(leanings)):
            signs += _sign(text, sentence, name, (first, last, head))
        order = order_of(sentence)
        # "Keep it secret" is one sign and not two.
        if order and all(first > order[1] for _, first, _ in leanings):
            signs += _sign(text, sentence, order[0], order[1:])
    if marked and spoken:
        signs += _in_text(text, spoken, marked)
    acts = {sign.sentence for sign in signs if sign.name in _RULES}
    for sentence in spoken if acts else ():
        if any(abs(sentence.position - act) <= WINDOW for act in acts):
            for name, first, last in manners_of(sentence):
                signs += _sign(text, sentence, name, (first, last, -1))
    return signs


def _sign(
    text: str, sentence: Sentence, name: str, place: tuple[int, int, int]
) -> Iterator[Sign]:
    first, last, head = place
    tokens = sentence.tokens
    start, end = tokens[max(first, 0)].start, tokens[min(last, len(tokens)) - 1].end
    if not _is_quoted_example(text, sentence, start, end):
        begin = tokens[head].start if head >= 0 else -1
        yield Sign(name, sentence.position, start, end, begin)


def _in_text(
    text: str, spoken: list[Sentence], marked: Sequence[Pattern]
) -> Iterator[Sign]:
    """Yield what no word shows: marks and commands."""
    starts = [sentence.tokens[0].start for sentence in spoken]
    for name, form, _ in marked:
        for match in form.finditer(text):
            sentence = spoken[max(bisect_right(starts, match.start()) - 1, 0)]
            if name in _ORDERED:
                is_meant = orders_any(sentence) and "refused" not in sentence.hits
            else:
                is_meant = name not in ACTS or "discuss" not in sentence.hits
            if is_meant:
                yield Sign(name, sentence.position, *match.span())


def _holds(small: str, marks: Sequence[str]) -> bool:
    # Asked of every text for each mark: a loop costs half of what `any` does.
    for mark in marks:  # noqa: SIM110 - said above
        if mark in small:
            return True
    return False


def _is_quoted_example(text: str, sentence: Sentence, start: int, end: int) -> bool:
    """Whether the sentence speaks about what it quotes from `start` to `end`."""
    if "discuss" not in sentence.hits:
        return False
    first = sentence.tokens[0].start
    before, after = text[first:start], text[end : sentence.tokens[-1].end + 2]
    opened = sum(before.count(f" {quote}") for quote in _QUOTES)
    opened += sum(before.count(f"({quote}") for quote in _QUOTES)
    is_inside = any(f" {quote}" in text[start:end] for quote in _QUOTES)
    return (opened > 0 or is_inside) and any(quote in after for quote in _QUOTES)
