"""Exact search that grows sets from pairs and visits each set at most once.

Removing from a set of k the element with the smallest sum of distances to the others, which is at most the average,
keeps at least (k - 2) / k of the objective. Repeating this, a set of M with objective f has subsets of every size k
with at least f * k(k - 1) / (M(M - 1)). Conversely, start from all pairs and add an element only if it would be the one
to be removed again (the last in case of ties): each set is reached at most once, and every set at least as good as the
best known one is reached, even if sets below the threshold are dropped at every size. Few sets pass it, because the
best M elements are much farther apart than most.

Among elements with equal distances to all others (twins), the first ones are used first.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

CHUNK = 1024  # sets extended at once, to keep their sums of distances in the cache
SCREEN = 1e-6  # bound on the float32 error of a sum of M^2 distances, relative to M^2 times the largest


@dataclass(frozen=True)
class Sets:
    members: np.ndarray  # (N, k) in the order of addition
    values: np.ndarray  # (N,) sum of distances within the set
    shares: np.ndarray  # (N, k) each member's sum of distances to the others

    def __len__(self) -> int:
        return len(self.members)

    @property
    def size(self) -> int:
        return self.members.shape[1]

    def take(self, rows: np.ndarray | slice) -> "Sets":
        return Sets(self.members[rows], self.values[rows], self.shares[rows])


class Search:
    """The best known set of M >= 3 elements and the search for better ones; `distances` (n, n) are integer quanta."""

    def __init__(self, distances: np.ndarray, M: int, start: tuple[int, ...]) -> None:
        self.distances = distances
        self.single = distances.astype(np.float32)
        self.M = M
        self.best = tuple(sorted(start))
        self.value = float(distances[np.ix_(start, start)].sum()) / 2
        self.slack = SCREEN * M * M * float(np.abs(distances).max())
        self.twin_before = _twins_before(distances)

    def in_breadth(self, width: int, deadline: float = math.inf) -> bool:
        """Grow size by size, keeping the best `width` sets. True if none had to be dropped.

        False also if `deadline` (`time.monotonic`) passed.
        """
        sets, complete = self._pairs(), True
        while len(sets) and sets.size < self.M:
            if len(sets) > width:
                complete = False
                sets = sets.take(np.argsort(-sets.values, kind="stable")[:width])
            larger = []
            for i in range(0, len(sets), CHUNK):
                if time.monotonic() > deadline:
                    return False
                larger.append(self._extend(sets.take(slice(i, i + CHUNK))))
            members, values, shares = zip(*((part.members, part.values, part.shares) for part in larger), strict=True)
            sets = Sets(np.concatenate(members), np.concatenate(values), np.concatenate(shares))
            self._note(sets)
        return complete

    def in_depth(self, deadline: float) -> bool:
        """Grow all sets, the best first. True if this finished before `deadline` (`time.monotonic`)."""
        stack = [self._pairs()]  # sets in ascending order, so that the best are grown first
        while stack:
            if time.monotonic() > deadline:
                return False
            sets = stack.pop()
            above = int(np.searchsorted(sets.values, self._threshold(sets.size)))
            middle = max(above, len(sets) - CHUNK)
            if middle > above:
                stack.append(sets.take(slice(above, middle)))
            sets = sets.take(slice(middle, None))
            larger = self._extend(sets)
            self._note(larger)
            if len(larger) and larger.size < self.M:
                stack.append(larger.take(np.argsort(larger.values, kind="stable")))
        return True

    def _threshold(self, size: int) -> float:
        """The minimum value of subsets of `size` on the path to a set as good as the best."""
        share = size * (size - 1) / (self.M * (self.M - 1))
        return self.value * share - 1e-12 * abs(self.value)

    def _pairs(self) -> Sets:
        """All pairs above the threshold, worst to best."""
        first, second = np.nonzero(np.triu(self.distances >= self._threshold(2), 1))
        values = self.distances[first, second]
        pairs = Sets(np.stack([first, second], 1), values, np.stack([values, values], 1))
        before = self.twin_before
        allowed = (before[first] < 0) & ((before[second] < 0) | (before[second] == first))
        order = np.flatnonzero(allowed)
        pairs = pairs.take(order[np.argsort(values[order], kind="stable")])
        self._note(pairs)
        return pairs

    def _extend(self, sets: Sets) -> Sets:
        """The sets extended by one element, if above the threshold and on the larger set's path."""
        size = sets.size
        threshold = self._threshold(size + 1)
        total = self.single[sets.members[:, 0]]
        for member in range(1, size):
            total += self.single[sets.members[:, member]]
        total += sets.values.astype(np.float32)[:, None]
        total[np.arange(len(sets))[:, None], sets.members] = -np.inf
        row, new = np.divmod(np.flatnonzero(total.ravel() >= threshold - self.slack), total.shape[1])

        members = sets.members[row]
        added = self.distances[members, new[:, None]]
        share = added.sum(axis=1)
        values = sets.values[row] + share
        shares = sets.shares[row] + added
        last = (share[:, None] < shares) | ((share[:, None] == shares) & (new[:, None] > members))
        before = self.twin_before[new]
        allowed = (before < 0) | (members == before[:, None]).any(axis=1)
        kept = (values >= threshold) & last.all(axis=1) & allowed
        return Sets(
            np.concatenate([members, new[:, None]], axis=1)[kept],
            values[kept],
            np.concatenate([shares, share[:, None]], axis=1)[kept],
        )

    def _note(self, sets: Sets) -> None:
        """Record the best of the sets if they have M elements and it is better, or equal and earlier."""
        if not len(sets) or sets.size < self.M or sets.values.max() < self.value:
            return
        highest = float(sets.values.max())
        first = min(tuple(sorted(row)) for row in sets.members[sets.values == highest].tolist())
        if highest > self.value or first < self.best:
            self.value, self.best = highest, first


def _twins_before(distances: np.ndarray) -> np.ndarray:
    """The last earlier element with equal distances to all others, or -1: (n,)."""
    before = np.full(len(distances), -1)
    _, groups = np.unique(distances.sum(axis=1), return_inverse=True)
    for group in np.flatnonzero(np.bincount(groups) > 1):
        rows = np.flatnonzero(groups == group)
        for place, later in enumerate(rows):
            for earlier in rows[:place][::-1]:
                differ = distances[earlier] != distances[later]
                differ[[earlier, later]] = False
                if not differ.any():
                    before[later] = earlier
                    break
    return before
