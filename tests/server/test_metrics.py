"""What Prometheus sees."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from server.metrics import REFUSALS, Metrics
from server.websocket import Traffic


def values(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def test_every_series_is_there_from_the_start() -> None:
    seen = values(Metrics(lambda: 3, dict))
    assert seen["bramble_clients_connected", ()] == 3
    for state in ("committed", "abandoned"):
        assert seen["bramble_rounds_total", (("state", state),)] == 0
    for answer in ("accepted", *REFUSALS):
        assert seen["bramble_updates_total", (("answer", answer),)] == 0


def test_rounds_are_counted_by_their_end_and_committed_ones_timed() -> None:
    metrics = Metrics(lambda: 0, dict)
    metrics.round_ended("committed", 0.3, {"test_error": 2.0, "test_baseline": 4.0})
    metrics.round_ended("abandoned", 60.0, {"test_error": 9.0})
    seen = values(metrics)
    assert seen["bramble_rounds_total", (("state", "committed"),)] == 1
    assert seen["bramble_rounds_total", (("state", "abandoned"),)] == 1
    assert seen["bramble_round_seconds_count", ()] == 1
    assert seen["bramble_round_seconds_sum", ()] == 0.3
    assert (seen["bramble_test_error", ()], seen["bramble_test_baseline", ()]) == (2.0, 4.0)


def test_a_kind_of_refusal_that_is_not_on_the_list_makes_no_series_of_its_own() -> None:
    metrics = Metrics(lambda: 0, dict)
    metrics.update("unheard of")
    metrics.update("round over")
    seen = values(metrics)
    assert seen["bramble_updates_total", (("answer", "invalid"),)] == 1
    assert seen["bramble_updates_total", (("answer", "round over"),)] == 1
    assert sum(name == "bramble_updates_total" for name, _ in seen) == 1 + len(REFUSALS)


def test_bytes_are_those_of_the_moment() -> None:
    metrics, traffic = Metrics(lambda: 0, dict), Traffic()
    metrics.watch(traffic)
    traffic.received, traffic.sent = 7, 9
    seen = values(metrics)
    assert (seen["bramble_received_bytes_total", ()], seen["bramble_sent_bytes_total", ()]) == (7, 9)


def test_two_servers_in_one_process_share_nothing() -> None:
    first, second = Metrics(lambda: 0, dict), Metrics(lambda: 0, dict)
    first.readings(5)
    assert (values(first)["bramble_readings_total", ()], values(second)["bramble_readings_total", ()]) == (5, 0)
