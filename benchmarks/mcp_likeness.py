"""Learns how attacks read: `python -m benchmarks.mcp_likeness [--write]`.

Two linear models over what `scanners.mcp_rules.likeness` notes: one of the sentence
that is most like an attack, one of all that an element says. Which sentence attacks
is not labelled: the model is fitted, told by itself, and fitted again.

Families of cases are left out in turn, never cases at random: two cases of one file are
by one hand. What is printed, and the thresholds, come from the cases left out. With
`--write` the weights are stored where the engine reads them.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from scanners.mcp_rules.examine import names_of
from scanners.mcp_rules.likeness import START, WEIGHTS, examined, whole_of
from scanners.mcp_rules.reading import readings
from scanners.mcp_rules.spoken import spoken
from scanners.mcp_rules.texts import texts_of
from tests.scanners.mcp_corpus import Case, cases

FOLDS, CHUNK = 8, 20  # cases of one file that are held to be of one hand
ROUNDS, NEAR = 3, 0.7  # of the most suspicious sentence, in the logarithm of odds
STRENGTH = {"sentence": 0.5, "whole": 0.1}
MIN_SEEN = 3  # a feature of fewer texts is chance
HINT, ENOUGH, HONEST = 0.03, 0.008, 0.12  # share of honest elements above it
# Texts of configurations are read by other rules.
LEFT_OUT = frozenset({"configuration"})

type Features = dict[str, float]
type Model = dict[str, float]


class Sample(NamedTuple):
    """One element of one case."""

    is_attack: bool
    hand: str
    sentences: list[Features]
    whole: Features


def known_cases() -> dict[str, int]:
    """Return how many cases of each family there are to learn from."""
    return dict(
        Counter(
            f"{case.kind}/{case.family}"
            for kind in ("malicious", "benign")
            for case in cases("development", kind)
            if case.family not in LEFT_OUT
        )
    )


def samples(counts: Mapping[str, int]) -> list[Sample]:
    """Return the elements of the first `counts` cases of each family."""
    return [
        sample
        for kind in ("malicious", "benign")
        for case in cases("development", kind)
        if case.number <= counts.get(f"{case.kind}/{case.family}", 0)
        for sample in _samples(case)
    ]


def _samples(case: Case) -> Iterator[Sample]:
    hand = f"{case.kind}/{case.family}/{(case.number - 1) // CHUNK}"
    for element, texts in groupby(texts_of(case.document), key=lambda t: t.element):
        together = list(texts)
        own = names_of(element, together)
        read = [(t, spoken(t, readings(t.value), own)) for t in together]
        found = list(examined(read, own))
        if found:
            features = [sentence.features for sentence in found]
            whole = whole_of(sentence.own for sentence in found)
            yield Sample(case.kind == "malicious", hand, features, whole)


def _fitted(rows: Sequence[Features], attacks: Any, strength: float) -> Model:
    vectors = DictVectorizer()
    matrix = vectors.fit_transform(rows)
    # liblinear takes no indices of 64 bits, which some versions make.
    matrix.indices = matrix.indices.astype(np.int32)
    matrix.indptr = matrix.indptr.astype(np.int32)
    model = LogisticRegression(C=strength, solver="liblinear", max_iter=1000, tol=1e-6)
    model.fit(matrix, attacks)
    named = zip(vectors.feature_names_, model.coef_[0], strict=True)
    return {START: float(model.intercept_[0])} | {n: float(w) for n, w in named}


def told(model: Mapping[str, float], features: Features) -> float:
    """Return what `model` says of `features`."""
    known = sum(model[n] * value for n, value in features.items() if n in model)
    return model[START] + known


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
    return len(all_rows) == 1 or "FIRST ROLE tools" not in row


def _most_suspicious(model: Model, rows: Sequence[Features]) -> list[Features]:
    scores = [told(model, row) for row in rows]
    least = max(scores) - NEAR
    return [row for row, score in zip(rows, scores, strict=True) if score >= least]


def whole_model(known: Sequence[Sample]) -> Model:
    """Return the model of all that an element says."""
    seen = Counter(name for sample in known for name in sample.whole)
    rows = [{n: v for n, v in s.whole.items() if seen[n] > MIN_SEEN} for s in known]
    attacks = np.array([sample.is_attack for sample in known])
    return _fitted(rows, attacks, STRENGTH["whole"])


def left_out_scores(known: Sequence[Sample]) -> Any:
    """Return for each sample what models say that did not learn from its hand."""
    hands = sorted({sample.hand for sample in known})
    # In an order that has nothing to do with their names, the same on every day.
    hands.sort(key=lambda hand: sha256(hand.encode()).digest())
    fold = {hand: number % FOLDS for number, hand in enumerate(hands)}
    scores = np.zeros((len(known), 2))
    for number in range(FOLDS):
        learned = [sample for sample in known if fold[sample.hand] != number]
        sentence, whole = sentence_model(learned), whole_model(learned)
        for place, sample in enumerate(known):
            if fold[sample.hand] == number:
                best = max(told(sentence, row) for row in sample.sentences)
                scores[place] = best, told(whole, sample.whole)
    return scores


def learned(counts: Mapping[str, int]) -> tuple[dict[str, Any], Any]:
    """Return what the engine stores, and the scores of what was left out."""
    known = samples(counts)
    parts = left_out_scores(known)
    middle, spread = parts.mean(axis=0), parts.std(axis=0)
    scores = ((parts - middle) / spread).sum(axis=1)
    honest = np.sort(scores[[not sample.is_attack for sample in known]])[::-1]
    stored: dict[str, Any] = {"cases": dict(counts)}
    stored |= {
        name: round(float(honest[int(len(honest) * share)]), 2)
        for name, share in (("hint", HINT), ("enough", ENOUGH), ("honest", HONEST))
    }
    for number, (name, model) in enumerate(
        (("sentence", sentence_model(known)), ("whole", whole_model(known)))
    ):
        model[START] -= middle[number]
        scaled = {n: round(w / spread[number], 3) for n, w in sorted(model.items())}
        stored[name] = {n: float(w) for n, w in scaled.items() if w or n == START}
    return stored, scores


def main() -> None:
    counts = known_cases()
    known = samples(counts)
    stored, scores = learned(counts)
    attacks = np.array([sample.is_attack for sample in known])
    kinds = np.array([sample.hand.rsplit("/", 1)[0] for sample in known])
    for name in ("hint", "enough", "honest"):
        over = scores >= stored[name]
        caught, alarmed = over[attacks].mean(), over[~attacks].mean()
        print(f"{name:8} from {stored[name]:5.2f}: {caught:.1%} of the attacks", end="")
        print(f" that were left out, {alarmed:.1%} of the honest texts")
    for kind in sorted(set(kinds)):
        over = scores[kinds == kind] >= stored["enough"]
        print(f"  {kind:40} {over.sum():4} of {len(over):4}")
    if "--write" in sys.argv:
        WEIGHTS.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
