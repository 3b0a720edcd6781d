"""Which file descriptors to wait for, and for what: said anew each round, registered only where it changed."""

import selectors
from collections.abc import Iterator
from typing import Protocol


class HasFileno(Protocol):
    def fileno(self) -> int: ...


Source = int | HasFileno


class Readiness:
    """A selector that is told wishes instead of registrations."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def want(self, source: Source, *, read: bool = False, write: bool = False) -> None:
        """Wait for ``source`` to become readable and/or writable; neither: do not wait for it."""
        events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        key = self._selector.get_map().get(source)
        if key is None:
            if events:
                self._selector.register(source, events)
        elif not events:
            self._selector.unregister(source)
        elif key.events != events:
            self._selector.modify(source, events)

    def wait(self, timeout_s: float | None) -> Iterator[tuple[object, bool, bool]]:
        """Yield (source, readable, writable) for everything that is ready; empty after the timeout."""
        for key, events in self._selector.select(timeout_s):
            yield key.fileobj, bool(events & selectors.EVENT_READ), bool(events & selectors.EVENT_WRITE)
