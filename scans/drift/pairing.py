"""Which element of one snapshot is which of the other: by name, else by likeness.

A renamed element is known again by the shape of its schema, the words of its texts and
its name, so that to rename and poison a tool is one change and no removal beside an
addition. Likeness is looked for within a budget of pairs: what is left over is told as
removed and added, and that renames were not looked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from rapidfuzz import fuzz

from scans.drift.differences import canonical
from scans.drift.elements import (
    FILES,
    PROMPTS,
    SERVERS,
    TOOLS,
    Element,
    name_of,
    naming_key,
)
from scans.drift.invisible import texts_of, visible
from scans.drift.schemas import parameters_of

# What may be spent on likeness in one comparison, in pairs of characters: about a
# second. A hostile list ends there, an honest one of 10,000 tools is far from it.
MAX_WORK = 5_000_000_000
_WORK_OF_A_PAIR, _WORK_OF_A_PARAMETER = 2_000, 100
# Of texts and names both ends: what is put before or behind leaves one of them.
MAX_WORDS_FROM, MAX_NAME_FROM = 1_000, 64
ALIKE, ALIKE_BY_NAME = 0.65, 0.8
_TEXT_WEIGHT, _NAME_WEIGHT = 0.45, 0.2
# Many parameters alike are no chance, one is.
_SHAPE_WEIGHT, _PER_PARAMETER, _MOST_PARAMETERS = 0.35, 0.1, 4


@dataclass(frozen=True, slots=True)
class Pairs:
    """Elements with the same name, renamed ones, and those of one side only."""

    same: list[tuple[Element, Element]]
    renamed: list[tuple[Element, Element]]
    removed: list[Element]
    added: list[Element]
    is_searched: bool = True


class Budget:
    """What is left of `MAX_WORK`."""

    def __init__(self) -> None:
        self.work = MAX_WORK


def pair(
    kind: str, before: Sequence[Element], after: Sequence[Element], budget: Budget
) -> Pairs:
    """Pair the elements of one kind. The order in which they are given is no matter."""
    same, removed, added = _by_name(kind, before, after)
    if kind == FILES and len(before) == len(after) == 1:
        # The only file of a target is the target, whatever it is called.
        return Pairs([(before[0], after[0])], [], [], [])
    renamed = _identical(kind, removed, added)
    removed, added = _without(removed, added, renamed)
    alike, is_searched = _alike(kind, removed, added, budget)
    removed, added = _without(removed, added, alike)
    is_searched = is_searched or not removed or not added
    return Pairs(same, renamed + alike, removed, added, is_searched)


def _by_name(
    kind: str, before: Sequence[Element], after: Sequence[Element]
) -> tuple[list[tuple[Element, Element]], list[Element], list[Element]]:
    roots = _root(before), _root(after)
    if kind != FILES or not all(roots):
        roots = "", ""
    olds, news = _grouped(kind, before, roots[0]), _grouped(kind, after, roots[1])
    same: list[tuple[Element, Element]] = []
    removed: list[Element] = []
    added: list[Element] = []
    for name in sorted(olds.keys() | news.keys()):
        left, right = olds.get(name, []), news.get(name, [])
        # The nameless are known by what they are, like those of one name.
        if name and len(left) == len(right) == 1:
            same.append((left[0], right[0]))
            continue
        pairs = _among_namesakes(left, right)
        same += pairs
        left, right = _without(left, right, pairs)
        removed += left
        added += right
    return same, removed, added


def _root(elements: Sequence[Element]) -> str:
    """Return the folder that all files lie in, "" where it is not one.

    An archive of a release often has one with the version in its name: where a target
    lay is no drift.
    """
    heads = {each.path.partition("/")[0] for each in elements}
    is_one = len(heads) == 1 and all("/" in each.path for each in elements)
    return f"{heads.pop()}/" if is_one else ""


def _grouped(
    kind: str, elements: Sequence[Element], root: str
) -> dict[str, list[Element]]:
    groups: dict[str, list[Element]] = defaultdict(list)
    for element in sorted(elements, key=lambda each: each.path):
        groups[name_of(element, kind).removeprefix(root)].append(element)
    return groups


def _among_namesakes(
    left: Sequence[Element], right: Sequence[Element]
) -> list[tuple[Element, Element]]:
    """Pair elements of one name: equals of one server first, then others of one server,
    then equals of any, then in order.
    """
    pairs: list[tuple[Element, Element]] = []
    for key in (_all_of_it, _server, _definition, _nothing):
        olds, news = _without(left, right, pairs)
        pools: dict[Any, list[Element]] = defaultdict(list)
        for element in reversed(news):
            pools[key(element)].append(element)
        for old in olds:
            wanted = key(old)
            if wanted is not None and pools.get(wanted):
                pairs.append((old, pools[wanted].pop()))
    return pairs


def _all_of_it(element: Element) -> Any:
    return element.server, canonical(element.value)


def _server(element: Element) -> Any:
    return element.server or None


def _definition(element: Element) -> Any:
    return canonical(element.value)


def _nothing(element: Element) -> Any:
    return ()


def _without(
    left: Sequence[Element],
    right: Sequence[Element],
    pairs: Sequence[tuple[Element, Element]],
) -> tuple[list[Element], list[Element]]:
    olds = {old.path for old, _ in pairs}
    news = {new.path for _, new in pairs}
    return (
        [element for element in left if element.path not in olds],
        [element for element in right if element.path not in news],
    )


def _identical(
    kind: str, removed: Sequence[Element], added: Sequence[Element]
) -> list[tuple[Element, Element]]:
    """Pair what is the same but for its name, where enough is left to be no chance."""
    pools: dict[bytes, list[Element]] = defaultdict(list)
    for element in reversed(added):
        if form := _nameless(kind, element):
            pools[form].append(element)
    pairs = []
    for element in removed:
        form = _nameless(kind, element)
        if form and pools.get(form):
            pairs.append((element, pools[form].pop()))
    return pairs


def _nameless(kind: str, element: Element) -> bytes:
    """Return the definition without the name, b"" where too little is left of it."""
    if not isinstance(element.value, Mapping):
        return b""
    if kind == FILES:
        digest = element.value.get("digest")
        return str(digest).encode() if digest and element.value.get("size") else b""
    named_by = naming_key(element, kind)
    value = {k: v for k, v in element.value.items() if k != named_by}
    form = canonical(value)
    return form if len(form) >= 40 or kind == SERVERS else b""


@dataclass(frozen=True, slots=True)
class _Profile:
    """What an element is compared by."""

    element: Element
    name: str
    shape: frozenset[str]
    text: str = ""
    format: bytes = b""


def _profile(kind: str, element: Element) -> _Profile:
    name = _ends(visible(name_of(element, kind)), MAX_NAME_FROM)
    value = element.value if isinstance(element.value, Mapping) else {}
    if kind == FILES:
        inside = value.get("inside")
        shape = frozenset(texts_of(inside)) if inside else frozenset()
        return _Profile(element, name, shape, format=canonical(value.get("format")))
    if kind == SERVERS:
        parts = [value.get("command"), value.get("url"), *_list(value.get("args"))]
        words = frozenset(str(part) for part in parts if part)
        return _Profile(
            element, name, words, _ends(" ".join(sorted(words)), MAX_WORDS_FROM)
        )
    return _Profile(element, name, _shape(kind, value), _words(value))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shape(kind: str, value: Mapping[str, Any]) -> frozenset[str]:
    if kind == TOOLS:
        return parameters_of(value.get("inputSchema") or value.get("parameters"))
    if kind == PROMPTS:
        arguments = _list(value.get("arguments"))
        return frozenset(str(a.get("name")) for a in arguments if isinstance(a, dict))
    return frozenset(str(value[key]) for key in ("mimeType",) if key in value)


def _words(value: Mapping[str, Any]) -> str:
    texts = (value.get(key) for key in ("title", "description"))
    text = " ".join(text for text in texts if isinstance(text, str))
    return _ends(visible(text), MAX_WORDS_FROM)


def _ends(text: str, size: int) -> str:
    if len(text) > 2 * size:
        text = f"{text[:size]} {text[-size:]}"
    return text.casefold()


def _alike(
    kind: str, removed: Sequence[Element], added: Sequence[Element], budget: Budget
) -> tuple[list[tuple[Element, Element]], bool]:
    """Pair by likeness, the likest first; say whether all pairs were looked at."""
    olds = [_profile(kind, element) for element in removed]
    news = [_profile(kind, element) for element in added]
    scored = []
    is_searched = len(olds) * len(news) * _WORK_OF_A_PAIR <= budget.work
    pairs = product(olds, news) if is_searched else _of_one_shape(olds, news)
    for old, new in pairs:
        if budget.work <= 0:
            is_searched = False
            break
        score = _likeness(kind, old, new, budget)
        if score >= ALIKE:
            scored.append((-score, old.element.path, new.element.path, old, new))
    scored.sort(key=lambda each: each[:3])
    taken: set[str] = set()
    found = []
    for _, left, right, old, new in scored:
        if f"-{left}" not in taken and f"+{right}" not in taken:
            taken |= {f"-{left}", f"+{right}"}
            found.append((old.element, new.element))
    return found, is_searched


def _of_one_shape(
    olds: Sequence[_Profile], news: Sequence[_Profile]
) -> Iterator[tuple[_Profile, _Profile]]:
    """Yield the likeliest pairs, where all of them are too many."""
    shapes: dict[frozenset[str], list[_Profile]] = defaultdict(list)
    for new in news:
        shapes[new.shape].append(new)
    for old in olds:
        for new in shapes.get(old.shape, ()):
            yield old, new


def _likeness(kind: str, old: _Profile, new: _Profile, budget: Budget) -> float:
    """Return how much two elements are alike, from 0 to 1."""
    budget.work -= _WORK_OF_A_PAIR + len(old.name) * len(new.name)
    budget.work -= _WORK_OF_A_PARAMETER * min(len(old.shape), len(new.shape))
    if kind == FILES and old.format != new.format:
        return 0.0
    name = fuzz.ratio(old.name, new.name) / 100
    shape, shape_weight = _shape_likeness(old.shape, new.shape)
    text_weight = _TEXT_WEIGHT if old.text or new.text else 0.0
    if not text_weight and not shape_weight:
        return name if name >= ALIKE_BY_NAME else 0.0
    total = text_weight + shape_weight + _NAME_WEIGHT
    known = shape_weight * shape + _NAME_WEIGHT * name
    # Texts are read where they can still decide.
    if not (old.text and new.text) or (known + text_weight) / total < ALIKE:
        return known / total
    budget.work -= len(old.text) * len(new.text)
    text = fuzz.token_set_ratio(old.text, new.text) / 100
    return (known + text_weight * text) / total


def _shape_likeness(old: frozenset[str], new: frozenset[str]) -> tuple[float, float]:
    """Return the share of the smaller set that the other has, and what it weighs."""
    if not old and not new:
        return 0.0, 0.0
    common = len(old & new)
    share = common / min(len(old), len(new)) if old and new else 0.0
    more = min(max(common, 1) - 1, _MOST_PARAMETERS - 1)
    return share, _SHAPE_WEIGHT + _PER_PARAMETER * more
