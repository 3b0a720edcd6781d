"""The list of machines, and naming one."""

import json

import pytest

from remotegpu.cli.main import run

from .conftest import MACHINE, StubServer


@pytest.mark.usefixtures("signed_in")
def test_table_shows_state_gpus_and_lease(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["machines"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["NAME", "STATE", "GPUS", "BUSY", "CPU", "MEMORY", "CUSTOMER", "UNTIL"]
    assert row.startswith("gpu-1")
    for part in ("allocated", "2 × H100 (simulated)", "50 %", "256.0 GiB", "ACME", "2030-01-01"):
        assert part in row


def test_unreachable_machine_says_so_beside_its_state(
    signed_in: StubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    signed_in.page("/machines", [{**MACHINE, "reachable": False}])
    assert run(["machines"]) == 0
    assert "allocated (unreachable)" in capsys.readouterr().out


@pytest.mark.usefixtures("signed_in")
def test_json_is_what_the_server_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["machines", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [MACHINE]


@pytest.mark.usefixtures("signed_in")
def test_unknown_name_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--machine", "gpu-9", "--", "true"]) == 1
    error = capsys.readouterr().err
    assert "no machine named 'gpu-9'" in error
    assert "one of gpu-1" in error


def test_every_page_is_fetched(signed_in: StubServer, capsys: pytest.CaptureFixture[str]) -> None:
    from aiohttp import web

    def page(request: web.Request, _body: object) -> web.Response:
        first = request.query["page"] == "1"
        items = [{**MACHINE, "name": f"gpu-{n}"} for n in (range(200) if first else range(200, 230))]
        return web.json_response({"items": items, "total": 230, "page": 1, "page_size": 200})

    signed_in.route("GET", "/machines", page)
    assert run(["machines", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 230
