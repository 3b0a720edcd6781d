"""What was looked up lately is given again, and never after it has changed."""

import asyncio

import pytest

from remotegpu.server.core.recent import Recent


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Counts how often somebody looked."""

    def __init__(self) -> None:
        self.looked = 0

    async def __call__(self) -> int:
        self.looked += 1
        return self.looked


async def test_it_is_given_again_for_its_time_and_then_looked_up() -> None:
    clock, source = Clock(), Source()
    recent: Recent[str, int] = Recent(1.0, 10, clock)
    assert [await recent.get("a", source), await recent.get("a", source)] == [1, 1]
    clock.now += 1.01
    assert await recent.get("a", source) == 2


async def test_a_change_forgets_everything_at_once() -> None:
    source = Source()
    recent: Recent[str, int] = Recent(60.0, 10, Clock())
    await recent.get("a", source)
    recent.forget()
    assert await recent.get("a", source) == 2


async def test_a_look_up_that_began_before_a_change_answers_only_who_asked_then() -> None:
    recent: Recent[str, str] = Recent(60.0, 10, Clock())
    changed = asyncio.Event()

    async def slow() -> str:
        await changed.wait()
        return "old"

    async def quick() -> str:
        return "new"

    early = asyncio.create_task(recent.get("a", slow))
    await asyncio.sleep(0)
    recent.forget()
    changed.set()
    assert await early == "old"
    assert await recent.get("a", quick) == "new"


async def test_who_asks_meanwhile_waits_for_the_same_look_up() -> None:
    source, gate = Source(), asyncio.Event()
    recent: Recent[str, int] = Recent(60.0, 10, Clock())

    async def slow() -> int:
        await gate.wait()
        return await source()

    asking = [asyncio.create_task(recent.get("a", slow)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    gate.set()
    assert await asyncio.gather(*asking[1:]) == [1, 1, 1, 1], "who gives up takes nothing from the others"


async def test_a_failure_is_not_remembered() -> None:
    recent: Recent[str, int] = Recent(60.0, 10, Clock())

    async def broken() -> int:
        raise ConnectionError("no database")

    with pytest.raises(ConnectionError):
        await recent.get("a", broken)
    assert await recent.get("a", Source()) == 1


async def test_it_never_holds_more_than_it_may() -> None:
    recent: Recent[int, int] = Recent(60.0, 3, Clock())
    for key in range(10):
        await recent.get(key, Source())
    again = Source()
    await recent.get(0, again)
    assert again.looked == 1
