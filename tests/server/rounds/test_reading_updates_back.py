"""What strategies that must see all updates read back of a round's file, and that a server that dies in between changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_protocol.layout import Layout, Weights
from bramble_protocol.messages import Delivery, Timing, TrainConfig, TrainingComplete
from bramble_server.learning.judge import REACH, Judge
from bramble_server.learning.strategies import Context, blocks, create, planned
from bramble_server.rounds.round import OpenRound
from bramble_server.rounds.roundfile import Header, RoundFile
from tests.server.learning.test_robust_strategies import ROBUST, result
from tests.server.office import Office
from tests.server.pi import Pi, update
from tests.server.process import LAYOUT, ServerProcess
from tests.waiting import wait_for


class TestReadingBack:
    """What strategies that see all updates at once make of them does not depend on where these are, or on who died meanwhile."""

    @pytest.mark.parametrize("name", ROBUST)
    def test_blocks_are_as_the_whole(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(5)
        rows, samples = rng.normal(size=(9, 331)).astype(np.float32), rng.integers(1, 9, 9).tolist()
        whole = result(name, rows, samples, **ROBUST[name])
        monkeypatch.setattr(blocks, "TABLE", 4 * 9 * 100)
        np.testing.assert_allclose(result(name, rows, samples, **ROBUST[name]), whole, rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("name", [*ROBUST, "normbound+rfa"])
    def test_so_are_blocks_of_a_rounds_file_whoever_comes_first_and_is_shortened(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng, size = np.random.default_rng(6), 331
        model, layout = rng.normal(size=size).astype(np.float32), Layout.of([("w", [size])])
        rows = {f"pi-{i}": model + (1 + 3 * (i == 4)) * rng.normal(size=size).astype(np.float32) for i in range(9)}
        options = {**ROBUST.get(name, {}), **({"bound": 15.0} if name.startswith("normbound") else {})}
        header = Header(1, "0" * 64, "evaluation", size, tuple(rows), 100.0, 160.0)

        def made(clients: Sequence[str], table: int) -> Weights:
            monkeypatch.setattr(blocks, "TABLE", table)
            strategy = create(name, **options)
            planned(strategy, Context(1, model, TrainConfig()), clients)
            open_round = OpenRound("some", RoundFile.create(tmp_path / "1.round", header), model, strategy)
            with closing(open_round):
                for client in clients:
                    complete = TrainingComplete(1, layout, "float32", rows[client], 10, {}, Timing(1.0, 2.0, 3.0))
                    open_round.take([(client, Delivery.from_wire(complete.to_wire(), layout), None)])
                    open_round.fold(client)
                return open_round.aggregate(Judge(), 1)[0].weights

        whole = made([*rows], 1 << 20)
        np.testing.assert_array_equal(made([*rows][::-1], 1 << 20), whole)
        np.testing.assert_allclose(made([*rows], 4 * 9 * 100), whole, rtol=1e-5, atol=1e-6)
        lengths = {client: float(np.linalg.norm(row - model)) for client, row in rows.items()}
        reach = min(1.0, REACH * float(np.median([*lengths.values()])) / lengths["pi-4"])
        assert reach < 1
        shown = np.array([*rows.values()], np.float64)
        shown[4] = model + reach * (shown[4] - model)
        np.testing.assert_allclose(whole, result(name, shown, [10] * 9, model, **options), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("name", [*ROBUST, "normbound+trimmedmean"])
    def test_a_death_in_the_middle_of_a_round_leaves_the_bits(self, name: str, tmp_path: Path) -> None:
        values = dict(zip("abcdefg", (1.0, 0.3, 3.3, -10.0, 2.5, 1.7, 0.9), strict=True))  # one is shortened by the judge
        options = {**ROBUST.get(name, {}), **({"bound": 0.7} if name.startswith("normbound") else {})}

        def played(folder: Path, deaths: bool) -> Any:
            folder.mkdir()
            with ExitStack() as stack:

                def opened() -> Office:
                    office = Office(folder, strategy=name, strategy_option=options, min_clients=7)
                    stack.callback(office.close)
                    office.join(*values)
                    return office

                office = opened()
                for number in (1, 2):
                    assert office.coordinator.start_round().round == number
                    if deaths:
                        for client, value in [*values.items()][:2:-1]:
                            office.deliver(client, number, value * number)
                        office.die()
                        stack.pop_all()
                        office = opened()
                    for client, value in values.items():
                        office.deliver(client, number, value * number)
                return office.stored()

        expected = played(tmp_path / "whole", False)
        assert expected[0] == 2
        assert played(tmp_path / "killed", True) == expected

    def test_a_real_server_that_is_killed_comes_to_the_same(self, tmp_path: Path) -> None:
        values = (1.0, 2.5, 1.2, 3.1, 0.2)
        flags = ("--min-clients", "5", "--deadline", "1h", "--strategy", "trimmedmean", "--strategy-option", "share=0.2")
        with ServerProcess(tmp_path, *flags) as server:
            pis = [Pi(server.url, f"pi-{i}") for i in range(5)]
            number = server.api.start()["round"]
            for pi, value in [*zip(pis, values, strict=True)][:3]:
                pi.next("client_update")
                assert pi.call("training_complete", update(number, value)) == {"accepted": True}
            server.kill()
            for pi in pis:
                pi.close()
        with ServerProcess(tmp_path, *flags) as server:
            pis = [Pi(server.url, f"pi-{i}") for i in range(5)]
            for pi, value in [*zip(pis, values, strict=True)][3:]:
                pi.next("client_update")
                assert pi.call("training_complete", update(number, value)) == {"accepted": True}
            wait_for(lambda: server.api.status()["round"] == number, "the round")
            _, data, _ = server.request("GET", "/model", {"Accept": "application/octet-stream"})
            for pi in pis:
                pi.close()
        expected = result("trimmedmean", np.repeat(np.array(values)[:, None], LAYOUT.size, 1), share=0.2)
        np.testing.assert_allclose(np.frombuffer(data, "<f4"), expected, rtol=1e-6)
