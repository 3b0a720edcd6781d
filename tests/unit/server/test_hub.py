"""Messages between requests: nothing is missed from the moment of listening, and a slow listener learns that it is."""

from redis.asyncio import Redis

from remotegpu.kit.ids import uuid7
from remotegpu.server.core.context import Caller, Role
from remotegpu.server.core.hub import QUEUE_LIMIT, Hub, Message, channel
from remotegpu.server.domains.monitoring.routes import is_visible


def hub() -> Hub:
    """Not started: nothing leaves this process."""
    return Hub(Redis(), "test")


def test_listening_begins_at_once() -> None:
    messages = hub()
    with messages.messages() as queue:
        messages.publish("machines", "m1")
        assert queue.get_nowait() is not None


def test_a_listener_that_falls_behind_is_told_to_start_over() -> None:
    messages = hub()
    with messages.messages() as queue:
        for number in range(QUEUE_LIMIT + 1):
            messages.publish("machines", str(number))
        assert queue.get_nowait() is None
        assert queue.empty()
        messages.publish("machines", "next")
        following = queue.get_nowait()
        assert following is not None
        assert following.key == "next"


def test_whoever_left_hears_nothing_and_costs_nothing() -> None:
    messages = hub()
    with messages.messages() as queue:
        pass
    messages.publish("machines", "m1")
    assert queue.empty()
    heard: list[Message] = []
    with messages.listening("wake", "m1", heard.append):
        messages.publish("wake", "m1")
        messages.publish("wake", "m2")
        messages.publish("other", "m1")
    messages.publish("wake", "m1")
    assert [message.key for message in heard] == ["m1"]


def test_customers_see_what_carries_their_id_and_admins_what_is_public() -> None:
    ours, theirs = uuid7(), uuid7()
    member = Caller(user_id=uuid7(), email="m@x", display_name="M", role=Role.MEMBER, customer_id=ours)
    admin = Caller(user_id=uuid7(), email="a@x", display_name="A", role=Role.ADMIN, customer_id=None)
    mine = Message(topic="tasks", key="t", customer_ids=[str(ours)])
    foreign = Message(topic="tasks", key="t", customer_ids=[str(theirs)])
    internal = Message(topic="machines", key="m")
    wake_up = Message(topic="wake", key="m", customer_ids=[str(ours)])
    messages = (mine, foreign, internal, wake_up)
    assert [is_visible(message, member) for message in messages] == [True, False, False, False]
    assert [is_visible(message, admin) for message in messages] == [True, True, True, False]


def test_a_whole_topic_can_be_listened_to() -> None:
    messages = hub()
    heard: list[Message] = []
    with messages.listening("machines", None, heard.append):
        messages.publish("machines", "m1")
        messages.publish("machines", "m2")
        messages.publish("tasks", "t1")
    messages.publish("machines", "m3")
    assert [message.key for message in heard] == ["m1", "m2"]


def test_several_topics_can_be_listened_to() -> None:
    messages = hub()
    heard: list[Message] = []
    with messages.listening_to(("machines", "tasks"), heard.append):
        for topic in ("machines", "tasks", "people"):
            messages.publish(topic, topic)
    messages.publish("tasks", "after")
    assert [message.key for message in heard] == ["machines", "tasks"]


def test_installations_on_one_redis_have_channels_of_their_own() -> None:
    assert channel(1) != channel(2)
