"""Whoever a route declares does get through, with objects of their own. In a world of its own, which it uses up."""

import aiohttp

from integration.server_api import world as stage
from integration.server_api.calling import call, expect, people
from server_client import ServerProcess


async def test_whoever_is_declared_gets_through(server: ServerProcess, http: aiohttp.ClientSession) -> None:
    """A route may say no for reasons of its own, but not for who is asking."""
    problems: list[str] = []
    world = await stage.build(http, server)
    ours = world.ours
    for endpoint in people():
        for person in (ours.member, ours.owner, world.admin):
            if not endpoint.admits(person.role):
                continue
            answer = await call(endpoint, person.client, ours, person, world)
            wanted = {101} if endpoint.method == "WS" else {200, 201, 202, 204, 409}
            if endpoint.name == "change_password":
                wanted = {403}  # the body holds a wrong current password
                problems += expect(answer, wanted, f"{person.role}: {endpoint}", "invalid_credentials")
                continue
            problems += expect(answer, wanted, f"{person.role}: {endpoint}")
    assert not problems, "\n".join(problems)
