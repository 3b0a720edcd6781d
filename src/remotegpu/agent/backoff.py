"""How long to wait before trying again."""

import random
from collections.abc import Callable


class Backoff:
    """Doubles from ``first_s`` to ``cap_s``, each time somewhere between half and all of it.

    The spread keeps a thousand agents from returning in one instant after a restart of the server.
    """

    def __init__(
        self, first_s: float, cap_s: float, *, rng: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._rng = rng
        self._next_s = first_s

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        ceiling = self._next_s
        self._next_s = min(self._cap_s, self._next_s * 2)
        return self._rng(ceiling / 2, ceiling)

    def reset(self) -> None:
        """It worked: the next failure starts small again."""
        self._next_s = self._first_s
