"""A strategy that a server was told to go by, over real sockets: what clients hear of it, and what becomes of one that cannot be had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bramble_protocol import sections
from bramble_protocol.messages import ClientUpdate
from bramble_server.learning.strategies import STRATEGIES
from tests.server.pi import Pi, hello, update
from tests.server.process import LAYOUT, NotReady, ServerProcess
from tests.waiting import wait_for

ONE_CLIENT = ("--min-clients", "1", "--deadline", "1h")


def model(server: ServerProcess) -> list[float]:
    _, data, _ = server.request("GET", "/model", {"Accept": "application/octet-stream"})
    weights: list[float] = np.frombuffer(data, "<f4").tolist()
    return weights


def played(server: ServerProcess, pi: Pi, value: float) -> ClientUpdate:
    """Have a client answer a round, and see it committed; return what it was asked."""
    number = server.api.start()["round"]
    asked = ClientUpdate.from_wire(pi.next("client_update"))
    assert pi.call("training_complete", update(number, value)) == {"accepted": True}
    wait_for(lambda: server.api.status()["round"] == number, f"round {number}")
    return asked


def test_fedprox_by_flags_is_what_clients_are_asked_and_the_status_says(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *ONE_CLIENT, "--strategy", "fedprox", "--strategy-option", "mu=0.25") as server:
        assert server.api.status()["strategy"] == {"name": "fedprox", "parameters": {"mu": 0.25}}
        pi = Pi(server.url, "pi-1")
        assert played(server, pi, 3.0).config.proximal_mu == 0.25
        pi.close()


def test_a_killed_server_goes_on_with_its_momentum_from_a_table_of_its_file(tmp_path: Path) -> None:
    config = tmp_path / "bramble.toml"
    config.write_text('[server.strategy]\nname = "fedavgm"\nmomentum = 0.5\n')
    flags = (*ONE_CLIENT, "--config", str(config))
    with ServerProcess(tmp_path, *flags) as server:
        pi = Pi(server.url, "pi-1")
        assert played(server, pi, 3.0).config.proximal_mu == 0
        assert model(server) == [3.0] * LAYOUT.size
        server.kill()
        pi.close()
    with ServerProcess(tmp_path, *flags) as server:
        pi = Pi(server.url, "pi-1")
        played(server, pi, 3.0)
        first = np.arange(LAYOUT.size)  # where the task begins
        np.testing.assert_allclose(model(server), 3.0 + 0.5 * (3.0 - first), rtol=1e-6)
        pi.close()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ("--strategy", "fedprok"),
            f"strategy: 'fedprok' is not one of {', '.join(STRATEGIES)}, did you mean 'fedprox'?",
        ),
        (
            ("--strategy", "scaffold"),
            "strategy: scaffold changes a client's single steps, which the graph of task small does not let it, for it is of format 1; "
            "export it again with this version of Bramble",
        ),
        (("--strategy", "fedprox", "--strategy-option", "mu=-1"), "strategy_option: mu of fedprox is a number, 0 to 1000, got '-1'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence_before_anything_is_made(tmp_path: Path, flags: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(NotReady) as refused:
        ServerProcess(tmp_path, *flags, fresh=True)
    assert refused.value.code == 1
    assert refused.value.said.strip().splitlines() == [f"bramble: {sentence}"]
    assert not (tmp_path / "data").exists()


def test_a_client_that_lacks_what_the_strategy_needs_is_there_and_not_asked_and_the_others_bring_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *ONE_CLIENT, "--strategy", "fednova") as server:
        with Pi(server.url, "old"), Pi(server.url, "new", auth=hello("new", protocol=2, features=["sections", "steps"])) as new:
            assert server.api.status()["able"] == 1
            sentence = "does not know sections, steps, which rounds of this task need, so it is not asked for them; upgrade it"
            assert server.api.clients()["old"]["remarks"] == [sentence]
            for number, steps, taken in ((1, {}, False), (2, {"steps": 3}, False), (3, {"steps": 1}, True)):
                assert server.api.start()["clients"] == ["new"]
                request = new.next("client_update")
                assert request["steps"] is True
                answer = update(number, 5.0, encoding="sections", model=request["model"], **steps)
                answer["weights"] = sections.pack([("weights", "float32", answer["weights"])])
                del answer["layout"]
                assert new.call("training_complete", answer)["accepted"] is taken
                wait_for(lambda: server.api.status()["running"] is None, "the end of the round")
            assert model(server) == [5.0] * LAYOUT.size
            reasons = [server.api.round(number)["clients"]["new"]["reason"] for number in (1, 2)]
            assert reasons[0] == "its update was refused: steps: missing, and was asked for"
            assert reasons[1] == "its update was refused: steps: 3 are more than the 1 that 1 epochs of 10 windows take"
