"""Private mode, the default of a deployment: clients measure on their own clock, and no reading leaves them."""

from __future__ import annotations

import pytest

from tests.fleet.api import Api
from tests.fleet.controller import Play


@pytest.mark.timeout(900)
def test_every_client_measures_by_itself(api: Api, renewed: Play) -> None:
    for client in api.get("/clients")["clients"].values():
        assert client["health"]["sample_every"] == 2
        assert client["health"]["sample_age"] < 30


@pytest.mark.timeout(900)
def test_the_server_neither_asks_for_readings_nor_shows_any(api: Api, renewed: Play) -> None:
    assert "private mode" in api.get("/generate", "POST")["error"]
    assert "private" in api.get("/data/all")["error"]


@pytest.mark.timeout(900)
def test_a_round_without_enough_data_yet_is_an_honest_no(api: Api, renewed: Play) -> None:
    record = api.round()
    assert record["state"] in ("abandoned", "committed")
    assert all(part["samples"] or part["reason"] for part in record["clients"].values())
