"""Telling voices apart: which windows of sound are one speaker, and how many speakers there are.

A long recording is never compared window by window with itself. Windows are grouped within stretches
of speech first; then the groups, a few for each half minute, are grouped over the whole recording.
So memory grows with the number of stretches squared (60 MB for ten hours), not of windows squared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]

_STRETCH = 150  # windows that are grouped at once: about half a minute of speech
_MOST_AT_ONCE = 6  # speakers that are told apart within one stretch
_RESTARTS = 10
_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Separation:
    """When two groups of windows are two speakers.

    The two first figures are in the unit of the encoder, the log-likelihood of its training. They lie
    between what splitting one speaker's windows gains and what splitting two speakers' does.

    Attributes:
        scale: Log-likelihood for one unit of cosine.
        gain: What another speaker must explain better, for each window.
        cost: What another speaker must explain better in addition, whatever the number of windows.
        same_voice: Cosine above which the mean voices of two stretches are one speaker's.
    """

    scale: float
    gain: float = 1.25
    cost: float = 36.0
    same_voice: float = 0.9


def speakers_of(
    vectors: Vectors, separation: Separation, *, fewest: int = 1, most: int | None = None
) -> Labels:
    """Returns which speaker each window belongs to.

    Args:
        vectors: Unit vectors (n, d), in the order of time.
        separation: When two groups are two speakers.
        fewest: Speakers to find at least; fewer only when there are fewer windows.
        most: Speakers to find at most.

    Returns:
        Labels (n,) from 0, in order of first appearance.
    """
    if len(vectors) == 0:
        return np.zeros(0, np.int64)
    at_most = min(len(vectors), most or len(vectors))
    voices, sizes = [], []
    for part in np.array_split(vectors, -(-len(vectors) // _STRETCH)):
        labels = _estimate(part, separation, min(at_most, _MOST_AT_ONCE))
        for label in range(labels.max() + 1):
            voices.append(_mean(part[labels == label]))
            sizes.append(np.count_nonzero(labels == label))
    groups = _merge(np.stack(voices), separation.same_voice, at_most)
    if groups.max() + 1 < min(fewest, at_most):
        return in_order(_nearest(vectors, _group(vectors, min(fewest, at_most))))
    weighted = np.stack(voices) * np.array(sizes, np.float32)[:, None]
    means = np.stack([_mean(weighted[groups == group]) for group in range(groups.max() + 1)])
    return in_order(_nearest(vectors, means))


def in_order(labels: Labels) -> Labels:
    """Returns labels renumbered from 0 in order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[inverse]


def _estimate(vectors: Vectors, separation: Separation, most: int) -> Labels:
    """Groups a stretch into as many speakers as earn their cost."""
    labels = np.zeros(len(vectors), np.int64)
    explained = float((vectors @ _mean(vectors)).sum())
    least = (separation.gain * len(vectors) + separation.cost) / separation.scale
    for count in range(2, most + 1):
        means = _group(vectors, count)
        more = float((vectors @ means.T).max(axis=1).sum())
        if more - explained < least:
            break
        labels, explained = _nearest(vectors, means), more
    return in_order(labels)


def _merge(voices: Vectors, same_voice: float, most: int) -> Labels:
    """Joins the mean voices of all stretches into speakers, by the mean of their cosines."""
    if len(voices) == 1:
        return np.zeros(1, np.int64)
    tree = linkage(voices, method="average", metric="cosine")
    labels = fcluster(tree, 1 - same_voice, criterion="distance")
    if labels.max() > most:
        labels = fcluster(tree, most, criterion="maxclust")
    return in_order(labels.astype(np.int64))


def _group(vectors: Vectors, count: int) -> Vectors:
    """Returns the `count` mean voices (count, d) that explain the windows best: spherical k-means."""
    random = np.random.default_rng(0)
    best, best_explained = vectors[:count], -np.inf
    for _ in range(_RESTARTS):
        means = _seeds(vectors, count, random)
        labels = _nearest(vectors, means)
        for _ in range(_ROUNDS):
            # A group that loses all its windows keeps its mean, and may win some back.
            means = np.stack(
                [_mean(vectors[labels == k]) if (labels == k).any() else means[k] for k in range(count)]
            )
            before, labels = labels, _nearest(vectors, means)
            if np.array_equal(before, labels):
                break
        explained = float((vectors @ means.T).max(axis=1).sum())
        if explained > best_explained + 1e-6:
            best, best_explained = means, explained
    return best


def _seeds(vectors: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """Draws windows far from each other (k-means++)."""
    chosen = [int(random.integers(len(vectors)))]
    far = np.full(len(vectors), np.inf)
    while len(chosen) < count:
        far = np.minimum(far, np.maximum(0.0, 1.0 - vectors @ vectors[chosen[-1]].astype(np.float64)))
        if far.sum() <= 0:  # every window equals a chosen one
            far = np.ones(len(vectors))
        chosen.append(int(random.choice(len(vectors), p=far / far.sum())))
    return vectors[chosen]


def _nearest(vectors: Vectors, means: Vectors) -> Labels:
    labels: Labels = np.argmax(vectors @ means.T, axis=1)
    return labels


def _mean(vectors: Vectors) -> Vectors:
    total = vectors.sum(axis=0)
    norm: Vectors = total / max(float(np.linalg.norm(total)), 1e-9)
    return norm
