"""``bramble model`` against a real server with real clients, through the commit of a model that is not wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.bramble.test_round import bramble
from tests.server.pi import Pi
from tests.server.process import ServerProcess
from tests.waiting import wait_for


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, "--min-clients", "1") as made:
        yield made


def test_models_are_listed_and_one_of_them_comes_back(server: ServerProcess) -> None:
    assert (
        bramble("model", "list", "--server", server.url).stdout == "no model yet but the initial one; each round that commits makes one\n"
    )
    with Pi(server.url) as pi:
        for number, value in ((1, 0.5), (2, 1.0)):
            server.api.start()
            pi.train(value)
            wait_for(lambda number=number: server.api.status()["round"] == number, "the commit")
    done = bramble("model", "rollback", "1", "--server", server.url)
    assert (done.returncode, done.stdout) == (0, "the model of round 1 is the global one again, as round 3\n")
    assert server.api.model()["weights"]["dense/bias"] == [0.5, 0.5]
    lines = bramble("model", "list", "--server", server.url).stdout.splitlines()
    assert [line.split("round", 1)[1].split()[0] for line in lines] == ["1", "2", "3"]
    assert lines[2].endswith("not tested yet  champion  rolled back to the model of round 1")
    assert "rolled back to the model of round 1" in bramble("round", "list", "--server", server.url).stdout


def test_what_cannot_come_back_is_a_sentence_and_exit_code_1(server: ServerProcess) -> None:
    done = bramble("model", "rollback", "7", "--server", server.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the model of round 7 is not kept; there are those of rounds none" in done.stderr
    done = bramble("model", "rollback", "0", "--server", server.url)
    assert done.returncode == 1
    assert "number" in done.stderr


def test_a_model_is_listed_with_its_error_and_pinned_until_it_is_let_go(server: ServerProcess) -> None:
    tests = {"loss_before": 2.0, "loss_after": 1.0, "test_samples": 25, "test_error": 0.25, "test_baseline": 1.0}
    with Pi(server.url) as pi:
        for number in (1, 2):
            server.api.start()
            pi.train(float(number), metrics=tests)
            wait_for(lambda number=number: server.api.status()["round"] == number, "the commit")
    first, second = bramble("model", "list", "--server", server.url).stdout.splitlines()
    assert first.endswith("round   1  RMSE 0.50 °C, persistence 1.00 °C over 25 windows  champion")
    assert second.endswith("round   2  not tested yet")
    assert bramble("model", "pin", "2", "--server", server.url).stdout == "the model of round 2 is the champion until bramble model unpin\n"
    assert bramble("model", "show", "1", "--server", server.url).stdout.splitlines()[1] == "  strategy fedavg"
    told = json.loads(bramble("model", "show", "1", "--json", "--server", server.url).stdout)
    assert (told["round"], told["champion"], told["held_out"]["error"]) == (1, False, 0.5)
    assert told["tensors"][1] == {"name": "dense/bias", "shape": [2], "norm": pytest.approx(2**0.5)}
    (_, two) = json.loads(bramble("model", "list", "--json", "--server", server.url).stdout)
    assert (two["champion"], two["pinned"], two["held_out"]) == (True, True, None)
    assert json.loads(bramble("model", "pin", "2", "--json", "--server", server.url).stdout) == {"pinned": 2}
    done = bramble("model", "unpin", "--server", server.url)
    assert done.stdout == "the model of round 2 is the champion for as long as none is better\n"
    assert bramble("model", "unpin", "--server", server.url).stdout == "no model was pinned\n"
    done = bramble("model", "pin", "9", "--server", server.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the model of round 9 is not kept; there are those of rounds 1, 2" in done.stderr


def test_a_model_is_written_as_npz_and_what_the_others_need_is_said(server: ServerProcess, tmp_path: Path) -> None:
    with Pi(server.url) as pi:
        for number in (1, 2):
            server.api.start()
            pi.train(float(number))
            wait_for(lambda number=number: server.api.status()["round"] == number, "the commit")
    file = tmp_path / "model"
    assert bramble("model", "export", "1", "--output", str(file), "--server", server.url).stdout.startswith(f"{file}: ")
    with np.load(file) as found:
        assert {name: array.tolist() for name, array in found.items()} == {
            "dense/kernel": [[1.0, 1.0], [1.0, 1.0]],
            "dense/bias": [1.0, 1.0],
        }
    for wanted, said in (
        (("9", "--output", str(file)), "the model of round 9 is not kept"),
        (("1", "--output", str(file), "--format", "keras"), "is not installed"),
        (("1", "--output", str(tmp_path / "missing" / "model")), "cannot be written (No such file or directory); say where with --output"),
        (("1", "--output", str(file), "--csv", "a.csv"), "--csv is for tflite-int8"),
    ):
        done = bramble("model", "export", *wanted, "--server", server.url)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
