"""A local run on the climate graph, on whichever runtime is installed: what it learns, reports, refuses and repeats."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bramble_client.learn import fitting, local_state
from bramble_client.learn import trainer as module
from bramble_client.learn.fitting import Model, minibatches
from bramble_client.learn.graphs import GraphRejected
from bramble_client.learn.pace import BrokenOff, Pace
from bramble_client.learn.plausibility import Unbelievable
from bramble_client.learn.runtime import Runtime
from bramble_client.learn.trainer import NotEnoughData, Trainer, TrainingFault, measure, shuffles
from bramble_client.learn.windows import windows
from bramble_protocol.graph import GraphFile
from bramble_protocol.layout import Layout
from bramble_protocol.messages import Champion, TrainConfig, TrainingComplete
from tests.runtimes.site import GRAPH, START, Site, run, update


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, lambda _: GRAPH.data, "pi-1")


def test_it_learns(trainer: Trainer) -> None:
    weights, losses = GRAPH.initial, []
    for number in range(1, 6):
        complete = run(trainer, replace(update(learning_rate=0.02), round=number, weights=weights)).complete
        weights = complete.weights
        losses.append((complete.metrics["loss_before"], complete.metrics["loss_after"]))
    assert all(after < before for before, after in losses)
    # what one run ends with is what the next begins with
    for (_, after), (before, _) in pairwise(losses):
        assert before == pytest.approx(after, rel=1e-5)
    assert losses[-1][1] < 0.2 * losses[0][0]


def test_the_result_is_a_valid_reply_in_the_encoding_that_was_asked_for(trainer: Trainer) -> None:
    complete = run(trainer, replace(update(), reply_encoding="float16")).complete
    read = TrainingComplete.from_wire(complete.to_wire(), GRAPH.manifest.layout)
    assert (read.round, read.samples, read.encoding) == (3, 299 - 24 - 3 + 1, "float16")
    np.testing.assert_allclose(read.weights, complete.weights, rtol=1e-3, atol=1e-6)
    assert read.timing.received <= read.timing.train_start <= read.timing.train_end


def test_when_the_update_came_is_reported_as_the_caller_saw_it(trainer: Trainer) -> None:
    result = trainer.run(update(), Site(60).columns, None, received=12.5)
    assert result.complete.timing.received == 12.5


def test_it_tests_the_weights_that_came_on_every_window_the_first_time(trainer: Trainer) -> None:
    site = Site(300)
    trained = run(trainer, update(epochs=5), site).complete.weights
    result = run(trainer, replace(update(), weights=trained), site)
    data = windows(site.times, site.values, GRAPH.manifest)
    times, values = np.array(result.forecasts).T
    np.testing.assert_array_equal(times, data.time)
    metrics = result.complete.metrics
    assert metrics["test_samples"] == len(data) == 273
    assert metrics["test_error"] == pytest.approx(np.mean((values - data.targets["y"]) ** 2), rel=1e-4)
    assert metrics["test_baseline"] == pytest.approx(np.mean((data.inputs["x"][:, -1, 0] - data.targets["y"]) ** 2), rel=1e-4)
    assert metrics["test_error"] < 0.5 * metrics["test_baseline"]
    assert result.tested_until == data.time[-1]


def test_the_initial_weights_forecast_that_nothing_changes(trainer: Trainer) -> None:
    metrics = run(trainer).complete.metrics
    assert metrics["test_error"] == pytest.approx(metrics["test_baseline"], rel=1e-5)


def test_later_it_tests_only_windows_whose_target_is_new(trainer: Trainer) -> None:
    site = Site(300)
    first = trainer.run(update(), site.until(200), None)
    second = trainer.run(update(), site.columns, first.tested_until)
    assert second.complete.metrics["test_samples"] == 100
    assert second.complete.samples == 273
    assert min(t for t, _ in second.forecasts) == first.tested_until + 3600


def test_the_best_model_so_far_is_tested_on_the_same_windows_and_not_trained(trainer: Trainer) -> None:
    best = run(trainer, update(learning_rate=0.02)).complete.weights
    site, until = Site(330), START + 3600.0 * 299
    plain = run(trainer, update(), site, until).complete
    beside = run(trainer, replace(update(), champion=Champion(2, best)), site, until).complete
    np.testing.assert_array_equal(beside.weights, plain.weights)
    alone = run(trainer, replace(update(), weights=best), site, until).complete
    expected = {**plain.metrics, "champion": 2.0, "champion_error": alone.metrics["test_error"]}
    assert beside.metrics == pytest.approx(expected)
    assert beside.metrics["champion_error"] < beside.metrics["test_error"]
    newest = float(site.times[-1])
    assert "champion_error" not in run(trainer, replace(update(), champion=Champion(2, best)), site, newest).complete.metrics


def test_with_nothing_new_there_is_no_test_and_training_goes_on(trainer: Trainer) -> None:
    first = run(trainer)
    again = run(trainer, tested_until=first.tested_until)
    assert set(again.complete.metrics) == {"loss_before", "loss_after"}
    assert again.forecasts == []
    assert again.tested_until == first.tested_until
    np.testing.assert_array_equal(again.complete.weights, first.complete.weights)


def test_a_repeated_run_gives_the_same_weights_even_from_another_process(tmp_path: Path) -> None:
    one, two = (run(Trainer(tmp_path, lambda _: GRAPH.data, "pi-1")).complete.weights for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_another_client_round_or_seed_shuffles_anew(tmp_path: Path, trainer: Trainer) -> None:
    base = run(trainer).complete.weights
    others = [
        run(Trainer(tmp_path, lambda _: GRAPH.data, "pi-2")).complete.weights,
        run(trainer, replace(update(), round=4)).complete.weights,
        run(trainer, update(seed=1)).complete.weights,
    ]
    for other in others:
        assert not np.array_equal(other, base)


def test_fedprox_keeps_a_client_nearer_to_the_global_model(trainer: Trainer) -> None:
    moved = [np.linalg.norm(run(trainer, update(epochs=5, proximal_mu=mu)).complete.weights - GRAPH.initial) for mu in (0.0, 0.1, 1.0)]
    assert moved[0] > 1.03 * moved[1] > 1.1 * moved[2]


def test_more_epochs_train_further(trainer: Trainer) -> None:
    losses = [run(trainer, update(epochs=epochs)).complete.metrics["loss_after"] for epochs in (1, 10)]
    assert losses[1] < 0.8 * losses[0]


@pytest.mark.parametrize(("count", "size"), [(10, 4), (8, 4), (3, 16), (1, 1)])
def test_an_epoch_visits_each_window_once(count: int, size: int) -> None:
    idx, sw = minibatches(count, TrainConfig(epochs=3, batch_size=size), shuffles(0, "pi-1", 1))
    assert idx.shape == sw.shape == (3 * -(-count // size), min(size, count))
    assert (idx.dtype, sw.dtype) == (np.int32, np.float32)
    epochs = [row[mask > 0] for row, mask in zip(idx.reshape(3, -1), sw.reshape(3, -1), strict=True)]
    assert [sorted(epoch.tolist()) for epoch in epochs] == [list(range(count))] * 3
    if count > 3:
        assert not np.array_equal(epochs[0], epochs[1])


def test_measures_do_not_depend_on_how_windows_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(300)
    data = windows(site.times, site.values, GRAPH.manifest)
    runtime, weights = Runtime(GRAPH.flatbuffer), Model(GRAPH.initial, GRAPH.state).arguments(GRAPH.manifest)
    whole = measure(runtime, data, weights)
    monkeypatch.setattr(module, "CHUNK", 100)
    assert measure(runtime, data, weights) == pytest.approx(whole, rel=1e-5)
    assert module.forecast(runtime, GRAPH.manifest, data, weights).shape == (273,)


def test_a_failed_sensor_costs_its_windows_only(trainer: Trainer) -> None:
    site = Site(300)
    site.values[100, 1] = np.nan
    # one missing hour is in 24 windows and is the target of one more
    assert run(trainer, site=site).complete.samples == 273 - 25


def test_without_readings_it_says_what_it_waits_for(trainer: Trainer) -> None:
    need = r"task climate needs 27 consecutive bins of 3600 s, and one reading after them"
    with pytest.raises(NotEnoughData, match=rf"no training window yet: 0 readings; {need}"):
        run(trainer, site=Site(0))
    with pytest.raises(NotEnoughData, match=rf"no training window yet: 27 readings; {need}"):
        run(trainer, site=Site(27))
    assert run(trainer, site=Site(28)).complete.samples == 1


def test_a_channel_that_this_client_does_not_have_is_named(trainer: Trainer) -> None:
    site = Site(100)
    site.values[:, 1] = np.nan
    with pytest.raises(NotEnoughData, match=r"no training window yet: no reading of humidity; task climate needs"):
        run(trainer, site=site)


def test_a_graph_with_another_digest_is_not_run(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path, lambda _: GRAPH.data + b"?", "pi-1")
    with pytest.raises(GraphRejected, match="not loaded"):
        run(trainer)


def test_a_graph_for_another_layout_is_not_run(trainer: Trainer) -> None:
    layout = Layout.of([("w", (3,))])
    with pytest.raises(GraphRejected, match="its layout has 2881 weights, the update's 3; not run"):
        run(trainer, replace(update(), layout=layout, weights=np.zeros(3, np.float32)))


@pytest.mark.parametrize("rate", [10.0, 1000.0])
def test_training_that_diverges_is_reported_with_the_setting_to_change(trainer: Trainer, rate: float) -> None:
    with pytest.raises(Unbelievable, match=r"training made the model worse here \(loss 0\.424 to .*\): lower learning_rate"):
        run(trainer, update(learning_rate=rate, epochs=3))
    assert run(trainer).complete.metrics["loss_after"] < 1


def test_units_that_no_longer_fire_learn_their_way_back(trainer: Trainer) -> None:
    """As a bad round left them: below zero for nearly every input, where a plain ReLU has no gradient for good."""
    weights = GRAPH.initial.copy()
    for tensor, view in zip(GRAPH.manifest.layout.tensors, GRAPH.manifest.layout.split(weights), strict=True):
        if tensor.name.startswith("hidden") and tensor.name.endswith("bias"):
            view -= 2
    losses = []
    for number in range(1, 9):
        complete = run(trainer, replace(update(epochs=2), round=number, weights=weights)).complete
        weights = complete.weights
        losses.append(complete.metrics["loss_after"])
    assert losses[-1] < 0.15 < 0.4 < losses[0]


def test_a_long_run_goes_in_calls_that_give_the_bits_of_one(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = update(epochs=40, proximal_mu=0.5)
    whole, steps = run(trainer, asked).complete.weights, []
    advance = fitting.Run.advance

    def counted(self: fitting.Run, count: int) -> None:
        steps.append(count)
        advance(self, count)

    monkeypatch.setattr(fitting.Run, "advance", counted)
    monkeypatch.setattr(fitting, "FIRST", 7)
    monkeypatch.setattr(fitting, "CALL_S", 1e-9)
    np.testing.assert_array_equal(run(trainer, asked).complete.weights, whole)
    assert len(steps) > 600


def test_a_run_that_nobody_wants_any_more_is_broken_off_between_two_calls(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "FIRST", 1)
    monkeypatch.setattr(fitting, "CALL_S", 1e-9)
    answers = iter([True, True, False])
    with pytest.raises(BrokenOff, match="broken off with 34 steps to go"):
        trainer.run(update(epochs=2), Site(300).columns, None, pace=Pace(lambda: next(answers)))
    assert run(trainer).complete.samples == 273


def test_a_graph_of_release_0_1_is_trained_as_it_was_there(tmp_path: Path) -> None:
    old = GraphFile.read((Path(__file__).parent / "references" / "climate-0.1.tflite").read_bytes())
    assert old.manifest.format == 1
    site, asked = Site(300), update(epochs=3, proximal_mu=0.5)
    trained = run(Trainer(tmp_path, lambda _: old.data, "pi-1"), replace(asked, graph=old.sha256), site).complete.weights
    data = windows(site.times, site.values, old.manifest)
    idx, sw = minibatches(len(data), asked.config, shuffles(0, "pi-1", 3))
    start = {f"w{i}": tensor for i, tensor in enumerate(old.manifest.layout.split(GRAPH.initial))}
    found = Runtime(old.flatbuffer)("fit", **data.inputs, **data.targets, idx=idx, sw=sw, lr=0.05, mu=0.5, **start)
    np.testing.assert_array_equal(trained, old.manifest.layout.join([found[f"next_{name}"] for name in start]))


SEVERAL = GraphFile.read((Path(__file__).parent / "references" / "several.tflite").read_bytes())


def test_a_task_of_several_inputs_and_targets_is_learned_and_its_layers_state_goes_on_here(tmp_path: Path) -> None:
    trainer, site = Trainer(tmp_path, lambda _: SEVERAL.data, "pi-1"), Site(400)
    layout, weights, noted, results = SEVERAL.manifest.layout, SEVERAL.initial, None, []
    for number in range(1, 7):
        asked = replace(update(epochs=2), round=number, task="several", graph=SEVERAL.sha256, layout=layout, weights=weights)
        results.append(trainer.run(asked, site.columns, None, noted=noted))
        weights, noted = results[-1].complete.weights, results[-1].local_state
    first, last = results[0].complete.metrics, results[-1].complete.metrics
    assert results[0].complete.samples == 400 - 1 - 23 - 3
    assert last["loss_after"] < 0.3 * first["loss_before"]
    assert last["test_error"] < 0.5 * last["test_baseline"]
    # the state belongs to the weights: with another, they forecast otherwise
    again = trainer.run(asked, site.columns, None, noted=results[-2].local_state)
    np.testing.assert_array_equal(again.complete.weights, weights)
    assert again.local_state == noted != results[-2].local_state
    assert trainer.run(asked, site.columns, None).complete.metrics["test_error"] != last["test_error"]
    assert trainer.run(asked, site.columns, None, noted="not what was written").local_state is not None
    # what is shown is the manifest's target, three hours ahead
    times, values = np.array(results[-1].forecasts).T
    data = windows(site.times, site.values, SEVERAL.manifest)
    np.testing.assert_array_equal(times, data.time)
    assert np.mean((values - data.targets["soon"][:, 1]) ** 2) == pytest.approx(last["test_error"], rel=1e-4)


def test_a_model_without_such_layers_leaves_no_state(trainer: Trainer) -> None:
    assert local_state.read(run(trainer).local_state, GRAPH.manifest, GRAPH.state).state.size == 0


def test_a_run_longer_than_a_pi_has_memory_for_is_refused(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MOST_VISITS", 1000)
    with pytest.raises(TrainingFault, match="4 epochs of 273 windows are more than 1000 visits in one run; lower epochs"):
        run(trainer, update(epochs=4))


def test_a_graph_is_fetched_once_for_many_runs(tmp_path: Path) -> None:
    asked = []

    def fetch(sha256: str) -> bytes:
        asked.append(sha256)
        return GRAPH.data

    trainer = Trainer(tmp_path, fetch, "pi-1")
    for _ in range(3):
        run(trainer)
    assert asked == [GRAPH.sha256]


def test_memory_does_not_grow_from_run_to_run(trainer: Trainer) -> None:
    def resident() -> int:
        both = ("self", trainer._runner.pid)
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in both) * 4096

    site = Site(2000)
    for _ in range(20):
        run(trainer, site=site)
    before = resident()
    for _ in range(60):
        run(trainer, site=site)
    # the windows of one run alone are 0.6 MB
    assert resident() - before < 6e6
