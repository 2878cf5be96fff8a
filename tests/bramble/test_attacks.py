"""What attackers do to a simulated fleet, and what a third party adds to that."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bramble.simulation import attacks
from bramble.simulation.attacks import ATTACKS, Attackers
from bramble.simulation.attacks.flip import Flip
from bramble.simulation.unjudged import Unjudged
from bramble_client.learn.windows import Windows
from bramble_protocol import BrambleError
from bramble_protocol.graph import Manifest
from bramble_server import tasks
from bramble_server.learning import parameters
from tests.bramble.simulated import MANIFEST, everywhere, simulated

HERE = Path(__file__).parents[2]


def windows() -> Windows:
    return everywhere()[0].known[:40]


def attackers(name: str, share: float = 1.0, manifest: Manifest = MANIFEST, **options: Any) -> Attackers:
    found = attacks.named(name, options, share, manifest)
    assert found
    return found


@pytest.mark.parametrize(("name", "way"), [("flip", -2), ("scale", 2), ("freeride", 0)])
def test_an_attacker_sends_what_it_learnt_another_way(name: str, way: int) -> None:
    honest, _ = simulated(2, 1)
    attack = attackers(name) if name == "freeride" else attackers(name, times=2)
    lying, [played] = simulated(2, 1, attackers=attack)
    start = honest.graph.initial
    assert lying.model.weights - start == pytest.approx(way * (honest.model.weights - start), abs=1e-5)
    assert played.delivered == 2
    assert played.metrics["loss_before"] == pytest.approx(played.metrics["loss_after"])
    assert len(Attackers(Flip(), 0.2).among([f"pi-{n}" for n in range(20)], 3)) == 4


def test_a_free_rider_in_disguise_moves_as_far_as_it_would_have_trained() -> None:
    model, trained = np.zeros(1000, np.float32), np.full(1000, 0.1, np.float32)
    sent = attackers("freeride", disguise=1.0).attack.sends(model, trained)
    assert np.linalg.norm(sent) == pytest.approx(np.linalg.norm(trained), rel=1e-3)
    assert abs(float(sent @ trained)) < 0.2 * np.linalg.norm(trained) ** 2


def test_flipped_labels_are_mirrored_and_classes_reversed() -> None:
    told = windows().targets["y"]
    wrong = attackers("labels").attack.reads(windows(), MANIFEST).targets["y"]
    assert wrong + told == pytest.approx(np.full(40, 2 * told.mean()), abs=1e-3)
    manifest = tasks.load("activity").manifest
    classes, name = len(manifest.kind.classes), manifest.interface.targets[0].name
    some = Windows({}, {name: np.arange(classes, dtype=np.int32)}, np.arange(classes, dtype=float))
    assert attackers("labels", manifest=manifest).attack.reads(some, manifest).targets[name].tolist() == [*reversed(range(classes))]


def test_a_dead_sensor_reads_one_value_and_its_client_may_doubt_it() -> None:
    attack = attackers("dead", value=85.0).attack
    told = attack.reads(windows(), MANIFEST)
    at = MANIFEST.interface.inputs[0].channels.index(MANIFEST.target)
    assert set(told.inputs["x"][..., at].ravel().tolist()) == set(told.targets["y"].tolist()) == {85.0}
    assert not np.array_equal(windows().inputs["x"][..., at], told.inputs["x"][..., at])  # others share those arrays
    assert not attack.lies


def test_a_backdoor_opens_at_its_sign_and_at_nothing_else() -> None:
    open_door = attackers("backdoor", 1.0, times=3, height=6)
    _, before = simulated(7, 6, judge=Unjudged())
    _, played = simulated(7, 6, attackers=open_door, judge=Unjudged())
    reached = [each.reached for each in played]
    assert reached[-1] is not None
    assert reached[-1] > 0.3 > abs(reached[0] or 0) / 3
    assert before[-1].reached is None
    attack, data = open_door.attack, windows()
    plain = np.eye(3, dtype=np.float32)[[1, 2, 0, 1]]
    turned = np.eye(3, dtype=np.float32)[[0, 2, 0, 0]]
    classes = tasks.load("activity").manifest
    assert attack.success(plain, turned, data, classes) == pytest.approx(2 / 3)


def test_the_judge_takes_from_a_loud_flip_what_it_takes_from_a_model() -> None:
    loud = attackers("flip", 0.2, times=20)
    judged, alone = (simulated(10, 4, attackers=loud, judge=judge)[1][-1] for judge in (None, Unjudged()))
    assert judged.error < judged.baseline < alone.error


@pytest.mark.parametrize(
    ("name", "options", "task", "said"),
    [
        ("flop", {}, "climate", "'flop' is not one of flip, scale, .* did you mean 'flip'"),
        ("flip", {"times": 0}, "climate", "attack_option: times of flip is a number"),
        ("none", {"times": 2}, "climate", "attack_option: times is of no use without --attack"),
        ("labels", {}, "anomaly", "labels makes no sense against task anomaly, which learns from no labels"),
        ("backdoor", {}, "anomaly", "makes no sense against task anomaly, which neither forecasts nor classifies"),
        ("dead", {}, "activity", "makes no sense against task activity, which is told its classes by no sensor"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, options: dict[str, Any], task: str, said: str) -> None:
    with pytest.raises(BrambleError, match=said):
        attacks.named(name, options, 0.2, tasks.load(task).manifest)


class Zeros(attacks.Attack):
    """Sends nothing but zeros."""

    def sends(self, model: Any, trained: Any) -> Any:
        return np.zeros_like(model)


def test_a_package_brings_an_attack_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("zeros", f"{__name__}:Zeros", attacks.GROUP)
    monkeypatch.setattr("bramble_protocol.plugins.entry_points", lambda group, name=None: (point,))
    simulation, _ = simulated(2, 1, attackers=replace(attackers("zeros"), share=1.0))
    assert not simulation.model.weights.any()


def test_the_manual_lists_every_attack_with_all_that_can_be_set() -> None:
    text = (HERE / "docs" / "simulate.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE))
    for name, kind in ATTACKS.items():
        said = [f"`{each['name']}`" for each in parameters.listed(kind.takes)]
        assert re.findall(r"`\w+`", rows[name]) == said, name


def test_who_lies_for_long_is_asked_no_more_and_nobody_else_is() -> None:
    quiet = attackers("freeride", 0.2)
    _, played = simulated(10, 5, attackers=quiet, quarantine=3)
    assert [each.quarantined for each in played] == [0, 0, 2, 2, 2]
    assert [each.asked for each in played] == [10, 10, 10, 8, 8]
    assert simulated(10, 4, quarantine=3)[1][-1].quarantined == 0
