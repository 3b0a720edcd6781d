"""A server that is told to stop does so at once, whoever is waiting for it to say something."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

import server_client as sc
from server_client import FakeAgent

LONG = 2.5
"""Seconds. Requests at work get three to finish; this stays below, and above what a busy machine needs."""


async def test_polls_and_event_streams_do_not_hold_up_the_stop_and_leave_no_traceback(
    server_env: dict[str, str], tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with sc.running_server(server_env, tmp_path) as server:
        admin = await sc.first_admin(http, server)
        agent = await FakeAgent.enrol(admin)
        headers = {"Authorization": f"Bearer {admin.token}"}
        async with http.get(admin.url("/events"), headers=headers) as events:
            await events.content.readline()
            poll = asyncio.create_task(agent.sync(wait=True, expect=503))
            await until_polling(admin, agent)
            began = time.monotonic()
            await asyncio.to_thread(server.stop)
            assert time.monotonic() - began < LONG
            assert (await poll)["code"] == "restarting"
            await events.content.read()  # the stream has an end; a cut one would raise
        assert [line for line in server.log_lines() if line["level"] not in {"info", "debug"}] == []


async def until_polling(admin: sc.Client, agent: FakeAgent) -> None:
    """Its poll has arrived once the server has noted a heartbeat newer than all before."""
    before = (await admin.get(f"/machines/{agent.machine_id}"))["last_seen_at"]
    for _ in range(200):
        if (await admin.get(f"/machines/{agent.machine_id}"))["last_seen_at"] != before:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the poll did not arrive")


async def test_a_closed_event_stream_leaves_no_trace_but_its_log_line(
    server_env: dict[str, str], tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with sc.running_server(server_env, tmp_path) as server:
        admin = await sc.first_admin(http, server)
        headers = {"Authorization": f"Bearer {admin.token}"}
        for number in range(4):
            async with http.get(admin.url("/events"), headers=headers) as events:
                await events.content.readline()
                if number % 2:
                    await sc.new_customer(admin)  # something is on its way when the browser leaves
                events.close()
        await admin.get("/overview")
        await asyncio.to_thread(server.stop)
        lines = server.log_lines()
        assert [line for line in lines if line["level"] not in {"info", "debug"}] == []
        assert [line["path"] for line in lines if "path" in line].count("/api/v1/events") == 4
