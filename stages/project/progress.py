"""How far a long loop is: a bar on a terminal; elsewhere one line, once it is clear how long the rest will take."""

import logging
import time
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from stages.project.durations import in_words

log = logging.getLogger(__name__)

CLEAR = 10  # seconds after which the rest can be told


class Bar(tqdm):
    """tqdm's bar, with its arguments; where it would draw nothing it says once how long the loop will go on.

    `silent`: neither (of several processes the first speaks).
    """

    def __init__(self, iterable: Any = None, *, silent: bool = False, **named: Any) -> None:
        self.name = named.get("desc", "")
        self.told = silent
        self.began = time.monotonic()
        super().__init__(iterable, disable=True if silent else None, mininterval=1, **named)
        self.first = self.n

    def __iter__(self) -> Iterator:
        if not self.disable:
            yield from super().__iter__()
            return
        for item in self.iterable:
            yield item
            self.update()

    def update(self, n: float | None = 1) -> bool | None:
        if not self.disable:
            return super().update(n)
        self.n += n or 0
        passed = time.monotonic() - self.began
        if not self.told and self.total and passed >= CLEAR:
            self.told = True
            rest = passed * (self.total - self.n) / (self.n - self.first)
            if rest >= CLEAR:
                log.info("%s: about %s to go", self.name, in_words(rest))
        return None
