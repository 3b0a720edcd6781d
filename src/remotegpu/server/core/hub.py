"""Wake-ups and events between requests and between server instances.

Delivery is best effort on purpose: everything that listens re-reads the database when woken, and re-reads it anyway
after a while. A lost message costs one poll, never a lost fact. Local listeners are served at once; other instances
hear through one Redis channel.
"""

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.database import after_commit

QUEUE_LIMIT = 256
RECONNECT_SECONDS = 1.0

log = structlog.get_logger()


class Message(msgspec.Struct, kw_only=True, frozen=True):
    """``topic`` and ``key`` select listeners. ``customer_ids``: who may see it; None means admins only."""

    topic: str
    key: str
    customer_ids: list[str] | None = None
    body: str = ""
    origin: str = ""


Listener = Callable[[Message], None]


def channel(database: int) -> str:
    """Of one installation: channels, unlike keys, do not belong to a database of Redis."""
    return f"remotegpu:hub:{database}"


class Hub:
    """Publish and listen. One per process."""

    def __init__(self, redis: Redis, instance: str, database: int = 0) -> None:
        self._redis = redis
        self._channel = channel(database)
        self._origin = f"{instance}-{secrets.token_hex(6)}"  # a worker may share its server's name
        self._by_key: dict[tuple[str, str | None], set[Listener]] = defaultdict(set)
        self._all: set[Listener] = set()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue(maxsize=10_000)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._send(), name="hub-send"),
            asyncio.create_task(self._receive(), name="hub-receive"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def publish(self, topic: str, key: str, customer_ids: list[str] | None = None, body: str = "") -> None:
        """Deliver locally now and hand the message to the other instances. Never blocks, never raises."""
        message = Message(topic=topic, key=key, customer_ids=customer_ids, body=body, origin=self._origin)
        self._deliver(message)
        with contextlib.suppress(asyncio.QueueFull):  # best effort by contract: listeners poll as well
            self._outbox.put_nowait(message)

    @contextlib.contextmanager
    def listening(self, topic: str, key: str | None, listener: Listener):
        """Call ``listener`` for every message of ``topic`` and ``key`` (None: any) while the context is open."""
        listeners = self._by_key[topic, key]
        listeners.add(listener)
        try:
            yield
        finally:
            listeners.discard(listener)
            if not listeners:
                self._by_key.pop((topic, key), None)

    @contextlib.contextmanager
    def listening_to(self, topics: Iterable[str], listener: Listener):
        """The same for every message of several topics."""
        with contextlib.ExitStack() as stack:
            for topic in topics:
                stack.enter_context(self.listening(topic, None, listener))
            yield

    @contextlib.contextmanager
    def messages(self):
        """A queue of every message from now on. None in it: this listener was too slow and must start over."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue(maxsize=QUEUE_LIMIT)

        def enqueue(message: Message) -> None:
            if not queue.full():
                queue.put_nowait(message)
                return
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)

        self._all.add(enqueue)
        try:
            yield queue
        finally:
            self._all.discard(enqueue)

    def _deliver(self, message: Message) -> None:
        of_key = self._by_key.get((message.topic, message.key), ())
        of_topic = self._by_key.get((message.topic, None), ())
        for listener in [*of_key, *of_topic, *self._all]:
            listener(message)

    async def _send(self) -> None:
        while True:
            message = await self._outbox.get()
            batch = [message]
            while not self._outbox.empty() and len(batch) < 100:
                batch.append(self._outbox.get_nowait())
            try:
                await self._redis.publish(self._channel, msgspec.json.encode(batch))
            except (RedisError, OSError) as error:
                log.warning("wake-up not sent to other instances", error=str(error), messages=len(batch))
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _receive(self) -> None:
        decoder = msgspec.json.Decoder(list[Message])
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel)
                    async for item in pubsub.listen():
                        if item["type"] == "message":
                            self._receive_batch(decoder.decode(item["data"]))
            except (RedisError, OSError) as error:
                log.warning("wake-ups from other instances interrupted", error=str(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    def _receive_batch(self, messages: list[Message]) -> None:
        for message in messages:
            if message.origin != self._origin:
                self._deliver(message)


def announce(
    tx: AsyncSession, topic: str, key: object, customer_ids: list[str] | None = None, body: str = ""
) -> None:
    """Publish once ``tx`` has committed. ``customer_ids``: who besides admins may see it."""
    hub = tx.info["hub"]
    assert isinstance(hub, Hub)
    after_commit(tx, lambda: hub.publish(topic, str(key), customer_ids, body))
