"""``bramble privacy plan``: what a budget takes, said before anything is promised."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from bramble import cli, privacy
from bramble.settings import PrivacyPlanSettings, SimulateSettings
from bramble.simulation.run import Run
from bramble_protocol.accountant import Release, epsilon
from bramble_protocol.errors import BrambleError


def planned(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, ["privacy", "plan", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_says_the_noise_and_the_command_that_has_a_server_keep_it() -> None:
    said = planned("--no-simulate", "--clients", "100", "--rounds", "20", "--epsilon", "8")
    [command] = [line for line in said.splitlines() if "bramble server" in line]
    noise = float(command.partition("noise_multiplier=")[2].split()[0])
    assert 7.9 < epsilon({Release(noise): 20}, 1e-5) <= 8
    assert command.endswith("--epsilon 8 --delta 1e-05")
    assert "noise 1.5 times as long as the longest update may be (2,881 parameters)" in said
    assert "from some 154 clients on it would be the shorter one" in said


def test_a_fleet_of_which_coins_ask_a_part_takes_less_noise_and_hears_how_to_toss_them() -> None:
    arguments = ("--no-simulate", "--clients", "1000", "--rounds", "100", "--epsilon", "2", "--json")
    whole, part = (json.loads(planned(*arguments, *share)) for share in ((), ("--share", "0.1")))
    assert epsilon({Release(part["noise_multiplier"], 0.1): 100}, 1e-5) == pytest.approx(2, rel=0.01)
    assert part["noise_multiplier"] < whole["noise_multiplier"] / 5
    said = planned("--no-simulate", "--clients", "1000", "--rounds", "100", "--epsilon", "2", "--share", "0.1")
    assert "1000 clients that are each asked with a probability of 0.1 in each of 100 rounds" in said
    assert "--selection poisson --clients-per-round 0.1" in said


def test_a_large_fleet_hears_no_warning_and_programs_read_json() -> None:
    assert "nothing is seen but noise" not in planned("--no-simulate", "--clients", "2000", "--rounds", "20")
    found = json.loads(planned("--no-simulate", "--json", "--strategy", "fedadam"))
    assert (found["clients"], found["enough_clients"], found["simulated"]) == (100, 485, None)
    assert "--strategy dp+fedadam" in planned("--no-simulate", "--strategy", "fedadam")


@pytest.mark.slow
def test_its_simulation_says_what_the_noise_costs_and_when_that_is_too_much() -> None:
    arguments = ("--clients", "8", "--rounds", "3", "--workers", "1")
    dear = planned(*arguments, "--epsilon", "0.5")
    assert "This fleet is too small for this budget: the noise costs" in dear
    assert "of persistence" in dear
    cheap = json.loads(planned(*arguments, "--epsilon", "900", "--json"))["simulated"]
    assert cheap["error"] == pytest.approx(cheap["error_without"], rel=0.2)
    assert cheap["metric"] == "RMSE"


@pytest.mark.slow
def test_a_simulation_with_noise_gives_the_same_bits_again_and_others_with_another_seed() -> None:
    def digest(seed: int, workers: int) -> str:
        settings = SimulateSettings(
            clients=4, rounds=2, seed=seed, workers=workers, strategy="dp", strategy_option={"noise_multiplier": 1.0, "quantile": 0.5}
        )
        return Run(settings).play(lambda _: None).digest

    assert digest(1, 1) == digest(1, 2) != digest(2, 1)


def test_a_probability_that_tells_one_client_outright_is_refused() -> None:
    with pytest.raises(BrambleError, match=r"delta: 0.01 lets one client of 100 be told outright; take one well below 0.01"):
        privacy.run(PrivacyPlanSettings(delta=0.01, simulate=False))


@pytest.mark.parametrize(("strategy", "says"), [("median", "needs more than a sum"), ("fedavgg", "is not one of")])
def test_a_strategy_that_cannot_stand_noise_is_refused_before_the_simulation(strategy: str, says: str) -> None:
    with pytest.raises(BrambleError, match=says):
        privacy.run(PrivacyPlanSettings(strategy=strategy, clients=8, rounds=1))
