"""Private mode, the default of a deployment: clients measure on their own clock, and no reading leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet.api import Api
from tests.fleet.conftest import CLIENTS
from tests.fleet.controller import Controller
from tests.fleet.fleet import Fleet


@pytest.fixture(scope="module")
def private(controller: Controller, source: Path, fleet: Fleet) -> Api:
    """The same fleet with three settings changed. It stays so: what comes after asks only whether all is well."""
    controller.variables.update(server_mode="private", server_allow_simulated=True, client_sample_every="2s")
    controller.deploy(source=source).ok()  # its gate has seen a fresh sample of every client
    return Api(fleet.server)


@pytest.mark.timeout(900)
def test_every_client_measures_by_itself(api: Api, private: Api) -> None:
    private.wait_for(CLIENTS)
    for client in private.get("/clients")["clients"].values():
        assert client["health"]["sample_every"] == 2
        assert client["health"]["sample_age"] < 30


@pytest.mark.timeout(900)
def test_the_server_neither_asks_for_readings_nor_shows_any(private: Api) -> None:
    assert "private mode" in private.get("/generate", "POST")["error"]
    assert "private" in private.get("/data/all")["error"]


@pytest.mark.timeout(900)
def test_a_round_without_enough_data_yet_is_an_honest_no(private: Api) -> None:
    record = private.round()
    assert record["state"] in ("abandoned", "committed")
    assert all(part["samples"] or part["reason"] for part in record["clients"].values())
