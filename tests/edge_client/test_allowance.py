"""What a client's owner has it tell: shortened, with noise, counted on its disk, and no more than is allowed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble_client.allowance import FILE, Allowance, Bounds
from bramble_client.learn.pace import NotNow
from bramble_client.learn.trainer import Result
from bramble_protocol.accountant import Release, epsilon
from bramble_protocol.errors import BrambleError
from bramble_protocol.layout import Layout
from bramble_protocol.messages import ClientUpdate, Extras, SecureTerms, Timing, TrainConfig, TrainingComplete
from bramble_protocol.messages.extras import Control
from bramble_protocol.secure.noised import Noise, Noised

SIZE = 40_000
LAYOUT = Layout.of([("w", [SIZE])])
BASE = np.linspace(-1, 1, SIZE, dtype=np.float32)
PLAIN = ClientUpdate(7, "small", "0" * 64, LAYOUT, "float32", "float32", BASE, TrainConfig())
NOISE = Noise(1.0, 0.5, 0.0, 0.0, least=16)
SUMMED = replace(PLAIN, secure=SecureTerms("ab" * 16, 20, Noised.of(20, 1000, NOISE).reach, 1000, noise=NOISE))
OWN = Bounds(clip=2.0, noise=4.0, epsilon=4.0)


def answer(change: float) -> Result:
    metrics = {"loss_before": 2.0, "test_samples": 30.0, "test_error": 1.0, "test_baseline": 2.0}
    return Result(TrainingComplete(7, LAYOUT, "float32", BASE + np.float32(change), 731, metrics, Timing(1.0, 2.0, 3.0)), [], 0.0)


def test_an_update_is_shortened_and_has_noise_of_which_no_two_are_alike_and_nothing_else_of_it_leaves(tmp_path: Path) -> None:
    allowance = Allowance(tmp_path, OWN)
    one, other = (allowance.noised(PLAIN, answer(1.0)).complete for _ in range(2))
    change = one.weights.astype(np.float64) - BASE
    assert float(change.std()) == pytest.approx(4.0 * 2.0, rel=0.03)
    assert float(change.sum()) / math.sqrt(SIZE) == pytest.approx(2.0, abs=6 * 8)  # what it was shortened to, and the noise's own
    assert (one.weights != other.weights).mean() > 0.99
    assert (one.samples, one.metrics, one.counts) == (20, {}, None)
    assert allowance.adds_noise
    assert not Allowance(tmp_path, Bounds()).adds_noise


@pytest.mark.parametrize(("change", "length"), [(1.0, 2.0), (1e-3, 1e-3 * math.sqrt(SIZE)), (0.0, 0.0)])
def test_what_is_left_of_it_below_the_noise_is_no_longer_than_the_clip(tmp_path: Path, change: float, length: float) -> None:
    silent = Allowance(tmp_path, Bounds(clip=2.0, noise=1e-12))
    found = silent.noised(PLAIN, answer(change)).complete.weights.astype(np.float64) - BASE
    assert float(np.linalg.norm(found)) == pytest.approx(length, rel=1e-3, abs=1e-3)


def test_what_is_spent_outlives_the_process_and_beyond_it_no_round_is_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rounds = 0
    while epsilon({Release(2.0): rounds + 1}, 1e-5) <= 4.0:
        rounds += 1
    for number in range(1, rounds + 1):
        allowance = Allowance(tmp_path, OWN)
        asked = replace(PLAIN, round=number)
        allowance.check(asked)
        allowance.spend(asked)
    told = Allowance(tmp_path, OWN).told(rounds)
    assert told["epsilon"] == pytest.approx(epsilon({Release(2.0): rounds}, 1e-5), rel=1e-3)
    assert (told["clip"], told["noise"], told["delta"]) == (2.0, 8.0, 1e-5)
    last = Allowance(tmp_path, OWN)
    for _ in range(3):
        with pytest.raises(NotNow, match=r"the budget of this client is spent: .* its owner allows 4 \(--epsilon\)"):
            last.check(PLAIN)
    assert len([line for line in caplog.records if "budget" in line.message]) == 1, "logged once"
    Allowance(tmp_path, replace(OWN, epsilon=None)).check(PLAIN)


def test_a_sum_with_noise_counts_by_the_noise_of_all_that_are_in_it_and_one_without_is_refused(tmp_path: Path) -> None:
    allowance = Allowance(tmp_path, Bounds(epsilon=8.0))
    allowance.check(SUMMED)
    allowance.spend(SUMMED)
    told = allowance.told(7)
    assert told == {"clip": 1.0, "noise": 0.5, "epsilon": pytest.approx(epsilon({Release(0.5 * 4 / 2): 1}, 1e-5), rel=1e-3), "delta": 1e-5}
    for asked in (PLAIN, replace(SUMMED, secure=SecureTerms("ab" * 16, 20, 8.0, 1000))):
        with pytest.raises(NotNow, match=r"allows an epsilon of 8 in all \(--epsilon\), and neither --noise here nor the round adds noise"):
            allowance.check(asked)


def test_who_asks_for_no_budget_has_only_answers_with_noise_written_down(tmp_path: Path) -> None:
    allowance = Allowance(tmp_path, Bounds())
    allowance.check(PLAIN)
    allowance.spend(PLAIN)
    assert (allowance.told(7), (tmp_path / FILE).exists()) == ({}, False)
    allowance.spend(SUMMED)
    assert allowance.told(7)["noise"] == 0.5


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (replace(PLAIN, extras=Extras(steps=True)), "it would send more than its weights"),
        (replace(PLAIN, extras=Extras(control=Control())), "it would send more than its weights"),
        (replace(PLAIN, reply_encoding="topk-0.01"), "it would send a part of its weights, by their size"),
    ],
)
def test_what_would_leave_without_noise_beside_it_is_refused(tmp_path: Path, asked: ClientUpdate, says: str) -> None:
    with pytest.raises(NotNow, match=says):
        Allowance(tmp_path, OWN).check(asked)
    Allowance(tmp_path, Bounds()).check(asked)


def test_a_budget_that_holds_not_one_update_ends_the_client_with_the_noise_it_takes(tmp_path: Path) -> None:
    with pytest.raises(
        BrambleError, match=r"one update with --noise 1 comes to 10\.7, and --epsilon allows 1; say --noise (\d+\.\d+) or more"
    ) as e:
        Allowance(tmp_path, Bounds(1.0, 1.0, 1.0))
    Allowance(tmp_path, Bounds(1.0, float(str(e.value).split("--noise ")[2].split()[0]), 1.0))


@pytest.mark.parametrize("kept", ["{", "[]", '{"spent": [[-1, 2]], "answers": {}}', '{"spent": 3, "answers": {}}'])
def test_a_count_that_cannot_be_read_ends_the_client_with_what_to_do(tmp_path: Path, kept: str) -> None:
    (tmp_path / FILE).write_text(kept)
    with pytest.raises(BrambleError, match="so nobody knows what is spent: bring it back, or delete it"):
        Allowance(tmp_path, OWN)


def test_what_the_disk_does_not_count_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    allowance = Allowance(tmp_path, OWN)
    monkeypatch.setattr("bramble_client.allowance.os.fsync", full)
    with pytest.raises(BrambleError, match="what is not counted is not sent"):
        allowance.spend(PLAIN)
    assert allowance.told(7) == {}
