"""Garbage is collected without stopping everything else."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from remotegpu.kit import memory


@pytest.fixture
def thresholds() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)
    gc.unfreeze()


async def test_only_full_collections_become_rare(
    thresholds: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "FULL_COLLECTION_SECONDS", 0.01)
    full = gc.get_stats()[2]["collections"]
    task = asyncio.create_task(memory.collect_rarely())
    async with asyncio.timeout(30):  # the rare full collections happen
        while gc.get_stats()[2]["collections"] <= full + 1:  # noqa: ASYNC110 - the collector tells nobody
            await asyncio.sleep(0.01)
    assert gc.get_threshold()[:2] == thresholds[:2]
    assert gc.get_threshold()[2] > 1_000 * thresholds[2]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
