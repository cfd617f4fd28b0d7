"""Learns how attacks read: `python -m benchmarks.mcp_likeness [--write]`.

Two linear models over what `scanners.mcp_rules.likeness` notes: one of the sentence
that is most like an attack, one of the phrases of all that an element says. Which
sentence attacks is not labelled: the model is fitted, told by itself, and fitted again.
A phrase counts by how much more often one kind of text has it (S. Wang, C. D. Manning:
Baselines and Bigrams, 2012).

Whole hands are left out in turn, never cases at random: the files whose names begin
with the same word and a dash are by one, and so is each other file. What is printed,
and the bounds of each kind of element, come from what was left out. With `--write` the
weights are stored where the engine reads them.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.mcp_engine import is_alarm
from scanners.catalogue import rules_of
from scanners.mcp_rules.examine import names_of
from scanners.mcp_rules.likeness import (
    HALF,
    SHARES,
    START,
    WEIGHTS,
    examined,
    kind_of,
    phrases_of,
    share_of,
)
from scanners.mcp_rules.reading import readings
from scanners.mcp_rules.spoken import spoken
from scanners.mcp_rules.texts import texts_of
from tests.scanners.mcp_corpus import Case, cases, document_of

FOLDS = 8
ROUNDS, NEAR = 3, 0.7  # of the most suspicious sentence, in the logarithm of odds
STRENGTH = {"sentence": 0.5, "phrases": 1.0}
MIN_SEEN = 3  # a feature of fewer texts is chance
MANY = 300  # honest elements of one kind; fewer may raise its bounds, never lower them
HINT, ENOUGH, HONEST = 0.03, 0.006, 0.02  # share of honest elements above it
# Texts of configurations are read by other rules.
LEFT_OUT = frozenset({"configuration"})
# The examples of rules for what a text says: the plainest attacks there are.
EXAMPLES = Path(__file__).parents[1] / "tests" / "scanners" / "mcp_examples"
EXAMPLE = "examples"
TAUGHT = frozenset({"between", "instructions", "reach"})
LABELS = {"malicious": "positive", "benign": "negative"}

type Named = tuple[str, str]  # kind, name
type Features = dict[Named, float]
type Model = dict[Named, float]
FIRST = ("is", "FIRST ROLE tools")
SAME: Named = (START, "")  # what every text has


class Sample(NamedTuple):
    """One element of one case."""

    is_attack: bool
    family: str
    kind: str
    sentences: list[Features]
    phrases: Features


def known_cases() -> dict[str, int]:
    """Return how many cases of each family there are to learn from."""
    return dict(
        Counter(
            f"{case.kind}/{case.family}"
            for kind in ("malicious", "benign")
            for case in _cases(kind)
        )
    )


def _cases(kind: str) -> Iterator[Case]:
    """Yield what there is to learn from: the corpus, and the examples of rules."""
    for case in cases("development", kind):
        if case.family not in LEFT_OUT:
            yield case
    known = rules_of("sentrascan-mcp")
    for path in sorted(EXAMPLES.glob("*.yaml")):
        if path.stem in TAUGHT:
            shorts = [
                short
                for rule, labelled in yaml.safe_load(path.read_text("utf-8")).items()
                if is_alarm(known[rule])
                for short in labelled[LABELS[kind]]
            ]
            for number, short in enumerate(shorts, 1):
                family = f"{EXAMPLE} of {path.stem}"
                yield Case("development", kind, family, number, document_of(short))


def samples(counts: Mapping[str, int]) -> list[Sample]:
    """Return the elements of the first `counts` cases of each family."""
    return [
        sample
        for kind in ("malicious", "benign")
        for case in _cases(kind)
        if case.number <= counts.get(f"{case.kind}/{case.family}", 0)
        for sample in _samples(case)
    ]


def _samples(case: Case) -> Iterator[Sample]:
    family = f"{case.kind}/{case.family}"
    for element, texts in groupby(texts_of(case.document), key=lambda t: t.element):
        together = list(texts)
        own = names_of(element, together)
        read = [(t, spoken(t, readings(t.value), own)) for t in together]
        found = list(examined(read, own))
        if found:
            features = [
                {
                    (kind, name): SHARES.get(kind, HALF)
                    for kind, names in sentence.features
                    for name in names
                    if name
                }
                for sentence in found
            ]
            said = phrases_of(together, read)
            phrases = {("phrase", name): share_of(said) for name in said}
            is_attack = case.kind == "malicious"
            yield Sample(is_attack, family, kind_of(element), features, phrases)


def _fitted(rows: Sequence[Features], attacks: Any, strength: float) -> Model:
    vectors = DictVectorizer()
    matrix = vectors.fit_transform(rows)
    # liblinear takes no indices of 64 bits, which some versions make.
    matrix.indices = matrix.indices.astype(np.int32)
    matrix.indptr = matrix.indptr.astype(np.int32)
    model = LogisticRegression(C=strength, solver="liblinear", max_iter=1000, tol=1e-6)
    model.fit(matrix, attacks)
    named = zip(vectors.feature_names_, model.coef_[0], strict=True)
    return {SAME: float(model.intercept_[0])} | {n: float(w) for n, w in named}


def told(model: Mapping[str, float], features: Features) -> float:
    """Return what `model` says of `features`."""
    known = sum(model[n] * value for n, value in features.items() if n in model)
    return model[SAME] + known


def sentence_model(known: Sequence[Sample]) -> Model:
    """Return the model of single sentences."""
    seen = Counter(n for sample in known for row in sample.sentences for n in row)
    rows = [
        [
            {n: v for n, v in row.items() if seen[n] >= MIN_SEEN}
            for row in sample.sentences
        ]
        for sample in known
    ]
    # What a tool is for stands in its first sentence, whoever wrote it.
    kept = [
        [row for row in mine if not sample.is_attack or _may_attack(row, mine)]
        for sample, mine in zip(known, rows, strict=True)
    ]
    model: Model = {}
    for _ in range(ROUNDS):
        labels = [
            s.is_attack for s, mine in zip(known, kept, strict=True) for _ in mine
        ]
        flat = [row for mine in kept for row in mine]
        model = _fitted(flat, np.array(labels), STRENGTH["sentence"])
        kept = [
            _most_suspicious(model, mine) if sample.is_attack else mine
            for sample, mine in zip(known, rows, strict=True)
        ]
    return model


def _may_attack(row: Features, all_rows: Sequence[Features]) -> bool:
    return len(all_rows) == 1 or FIRST not in row


def _most_suspicious(model: Model, rows: Sequence[Features]) -> list[Features]:
    scores = [told(model, row) for row in rows]
    least = max(scores) - NEAR
    return [row for row, score in zip(rows, scores, strict=True) if score >= least]


def phrase_model(known: Sequence[Sample]) -> Model:
    """Return the model of the phrases of all that an element says."""
    telling = _telling(known)
    rows = [
        {n: v * telling[n] for n, v in sample.phrases.items() if n in telling}
        for sample in known
    ]
    attacks = np.array([sample.is_attack for sample in known])
    model = _fitted(rows, attacks, STRENGTH["phrases"])
    return {n: w * telling.get(n, 1.0) for n, w in model.items()}


def _telling(known: Sequence[Sample]) -> Features:
    """Return for each phrase how far its shares of attacks and others are apart.

    In the logarithm of their ratio, as if each had been seen once more.
    """
    seen: tuple[Counter[Named], Counter[Named]] = Counter(), Counter()
    for sample in known:
        seen[sample.is_attack].update(sample.phrases)
    attacks = sum(sample.is_attack for sample in known)
    base = math.log(attacks / (len(known) - attacks))
    return {
        n: abs(math.log((seen[True][n] + 1) / (seen[False][n] + 1)) - base)
        for n in seen[True] | seen[False]
        if seen[True][n] + seen[False][n] >= MIN_SEEN
    }


def left_out_scores(known: Sequence[Sample]) -> Any:
    """Return for each sample what models say that did not learn from its author."""
    hands = sorted({hand_of(sample.family) for sample in known})
    # In an order that has nothing to do with their names, the same on every day.
    hands.sort(key=lambda hand: sha256(hand.encode()).digest())
    fold = {hand: number % FOLDS for number, hand in enumerate(hands)}
    folds = [fold[hand_of(sample.family)] for sample in known]
    scores = np.zeros((len(known), 2))
    for number in range(FOLDS):
        learned = [s for s, mine in zip(known, folds, strict=True) if mine != number]
        sentence, phrases = sentence_model(learned), phrase_model(learned)
        for place, (sample, mine) in enumerate(zip(known, folds, strict=True)):
            if mine == number:
                best = max(told(sentence, row) for row in sample.sentences)
                scores[place] = best, told(phrases, sample.phrases)
    return scores


def hand_of(family: str) -> str:
    """Return who wrote a family: both halves of one author, or one file."""
    name = family.rpartition("/")[2]
    hand, dash, _ = name.partition("-")
    return hand if dash else family


def learned(counts: Mapping[str, int]) -> tuple[dict[str, Any], Any]:
    """Return what the engine stores, and the scores of what was left out."""
    known = samples(counts)
    parts = left_out_scores(known)
    middle, spread = parts.mean(axis=0), parts.std(axis=0)
    scores = ((parts - middle) / spread).sum(axis=1)
    stored: dict[str, Any] = {"cases": dict(counts), "bounds": _bounds(known, scores)}
    honest = scores[
        [not sample.is_attack and EXAMPLE not in sample.family for sample in known]
    ]
    stored["honest"] = exceeded(honest, HONEST)
    for number, (name, model) in enumerate(
        (("sentence", sentence_model(known)), ("phrases", phrase_model(known)))
    ):
        model[SAME] -= middle[number]
        scaled = {n: w / spread[number] for n, w in model.items()}
        stored[name] = {START: round(float(scaled.pop(SAME)), 3)}
        for (kind, feature), weight in sorted(scaled.items()):
            if rounded := round(float(weight), 3):
                stored[name].setdefault(kind, {})[feature] = rounded
    return stored, scores


def _bounds(known: Sequence[Sample], scores: Any) -> dict[str, dict[str, float]]:
    """Return for each kind of element from where on its likeness counts."""
    # An example of what a rule is to leave alone is as near to an attack as can be.
    honest = np.array([not s.is_attack and EXAMPLE not in s.family for s in known])
    kinds = np.array([sample.kind for sample in known])
    shares = {"hint": HINT, "enough": ENOUGH}
    of_all = {name: exceeded(scores[honest], share) for name, share in shares.items()}
    found = {}
    for kind in sorted(set(kinds.tolist())):
        mine = scores[honest & (kinds == kind)]
        bounds = {name: exceeded(mine, share) for name, share in shares.items()}
        if len(mine) < MANY:
            bounds = {name: max(bounds[name], of_all[name]) for name in shares}
        found[kind] = bounds
    return found


def exceeded(scores: Any, share: float) -> float:
    """Return what a `share` of such `scores` is above.

    Where they are too few to say, their highest tenth is taken to go on as it falls.
    """
    ordered = np.sort(scores)[::-1]
    tenth = np.quantile(ordered, 0.9)
    falls = (ordered[ordered > tenth] - tenth).mean()
    beyond = max(0.0, np.log(1 / (len(ordered) * share)))
    return round(float(ordered[int(len(ordered) * share)] + falls * beyond) + 0.01, 2)


def main() -> None:
    counts = known_cases()
    known = samples(counts)
    stored, scores = learned(counts)
    attacks = np.array([sample.is_attack for sample in known])
    families = np.array([sample.family for sample in known])
    over = {}
    for name in ("hint", "enough"):
        bounds = [stored["bounds"][sample.kind][name] for sample in known]
        over[name] = scores >= np.array(bounds)
        caught, alarmed = over[name][attacks].mean(), over[name][~attacks].mean()
        print(f"{name:8} {caught:.1%} of the attacks that were left out,", end="")
        print(f" {alarmed:.1%} of the honest texts")
    for family in sorted(set(families)):
        hits = over["enough"][families == family]
        print(f"  {family:40} {hits.sum():4} of {len(hits):4}")
    if "--write" in sys.argv:
        WEIGHTS.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
