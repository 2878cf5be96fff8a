"""Whom a round asks: each selection beside what its paper says, and what holds for all of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bramble import cli
from bramble_protocol import BrambleError
from bramble_server import foundation
from bramble_server.learning import parameters, selection
from bramble_server.learning.selection import SELECTIONS, Call, Known, Selection, cohort
from bramble_server.learning.selection.adaptivetiers import AdaptiveTiers, Credits
from bramble_server.learning.selection.leastrecent import LeastRecent
from bramble_server.learning.selection.loss import Candidates, Loss
from bramble_server.learning.selection.oort import Balance, Oort
from bramble_server.learning.selection.poisson import Poisson, fewer_than
from bramble_server.learning.selection.samples import Samples
from bramble_server.learning.selection.tiers import Speeds, Tiers
from bramble_server.learning.selection.uniform import Uniform
from bramble_server.settings import Alone
from tests.edge_client.plugin import install
from tests.examples import examples

CLIENTS = [f"pi-{n:02}" for n in range(20)]
RARELY = st.none() | st.integers(1, 40)
knowns = st.builds(
    Known, asked=RARELY, answered=RARELY, samples=st.none() | st.integers(1, 10_000), loss=st.none() | st.floats(0, 1e6),
    seconds=st.none() | st.floats(0, 1e4),
)  # fmt: skip


def counted(kind: Selection, count: int, known: dict[str, Known], rounds: int = 400, clients: list[str] = CLIENTS) -> Counter[str]:
    return Counter(client for number in range(1, rounds + 1) for client in cohort(kind, Call(number, 7, count, known), clients))


@pytest.mark.parametrize("name", [name for name, kind in SELECTIONS.items() if not kind.coins])
@given(
    able=st.sets(st.sampled_from(CLIENTS), min_size=1),
    count=st.integers(1, 25),
    known=st.dictionaries(st.sampled_from(CLIENTS), knowns),
    number=st.integers(1, 60),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=examples(60))
def test_any_chooses_as_many_as_are_wanted_of_those_that_are_able_and_the_same_again(
    name: str, able: set[str], count: int, known: dict[str, Known], number: int, seed: int
) -> None:
    call = Call(number, seed, count, known, dict.fromkeys(range(1, number), 1.0))
    chosen = selection.named(name, {}).cohort(call, sorted(able))
    assert len(set(chosen)) == len(chosen) == min(count, len(able))
    assert set(chosen) <= able
    assert chosen == selection.named(name, {}).cohort(call, sorted(able, reverse=True))


def test_uniform_asks_each_alike_and_every_round_others() -> None:
    found = counted(Uniform(), 5, {})
    assert set(found) == set(CLIENTS)
    assert all(60 <= times <= 140 for times in found.values()), "400 rounds of 5 of 20 are 100 each"
    assert cohort(Uniform(), Call(1, 1, 5), CLIENTS) != cohort(Uniform(), Call(1, 2, 5), CLIENTS)


def test_poisson_tosses_a_coin_for_each_whatever_the_others_say_and_may_ask_nobody() -> None:
    rounds = [set(cohort(Poisson(), Call(number, 7, 20, share=0.3), CLIENTS)) for number in range(2000)]
    sizes = np.array([len(asked) for asked in rounds])
    assert float(sizes.mean()) == pytest.approx(6.0, abs=6 * math.sqrt(4.2 / 2000))
    assert float(sizes.var()) == pytest.approx(20 * 0.3 * 0.7, rel=0.2), "of as many as are wanted the variance would be 0"
    both = sum({CLIENTS[0], CLIENTS[1]} <= asked for asked in rounds) / 2000
    assert both == pytest.approx(0.09, abs=6 * math.sqrt(0.09 * 0.91 / 2000))
    assert any(not cohort(Poisson(), Call(number, 7, 2, share=0.3), CLIENTS[:2]) for number in range(20))
    assert cohort(Poisson(), Call(1, 7, 20, share=1.0), CLIENTS) == tuple(CLIENTS)


@pytest.mark.parametrize(("least", "clients", "share"), [(1, 10, 0.2), (3, 40, 0.1), (5, 7, 0.9), (1, 3, 1.0), (4, 3, 1.0), (2, 1, 0.5)])
def test_how_probable_too_few_are_is_the_binomials(least: int, clients: int, share: float) -> None:
    exact = sum(math.comb(clients, asked) * share**asked * (1 - share) ** (clients - asked) for asked in range(min(least, clients + 1)))
    assert fewer_than(least, clients, share) == pytest.approx(exact, rel=1e-9)


def test_samples_are_drawn_in_proportion_one_after_the_other() -> None:
    known = {"a": Known(samples=60), "b": Known(samples=30), "c": Known(samples=10)}
    found = counted(Samples(), 1, known, 3000, ["a", "b", "c"])
    assert [found[name] / 3000 for name in "abc"] == pytest.approx([0.6, 0.3, 0.1], abs=0.03)
    # Without putting back: P(c among two) = 1 - P(a, b) - P(b, a).
    pairs = counted(Samples(), 2, known, 3000, ["a", "b", "c"])
    assert pairs["c"] / 3000 == pytest.approx(1 - 0.6 * 0.3 / 0.4 - 0.3 * 0.6 / 0.7, abs=0.03)


def test_who_was_never_heard_counts_as_the_median_of_samples() -> None:
    known = {"a": Known(samples=10), "b": Known(samples=1000)}
    found = counted(Samples(), 1, known, 3000, ["a", "b", "new"])
    assert found["new"] / 3000 == pytest.approx(505 / 1515, abs=0.03)


def test_loss_takes_the_worst_of_the_candidates() -> None:
    known = {client: Known(samples=5, loss=float(index)) for index, client in enumerate(CLIENTS)}
    assert cohort(Loss(Candidates(candidates=1000)), Call(3, 0, 4, known), CLIENTS) == tuple(CLIENTS[-4:])
    for number in range(1, 30):
        chosen = cohort(Loss(Candidates(candidates=2)), Call(number, 0, 4, known), CLIENTS)
        # The least of the m best of d drawn of n stands at least at place d - m.
        assert min(CLIENTS.index(client) for client in chosen) >= 4
    assert "pi-03" in cohort(Loss(Candidates(candidates=1000)), Call(3, 0, 4, {**known, "pi-03": Known(asked=1)}), CLIENTS)


def test_least_recent_goes_round_everybody() -> None:
    known: dict[str, Known] = {}
    seen = Counter[str]()
    for number in range(1, 9):
        chosen = cohort(LeastRecent(), Call(number, 3, 5, known), CLIENTS)
        known |= {client: Known(asked=number) for client in chosen}
        seen.update(chosen)
    assert set(seen.values()) == {2}, "eight rounds of five of twenty"


def test_tiers_measure_everybody_first_and_then_ask_one_speed() -> None:
    known = {client: Known(seconds=float(index // 5)) for index, client in enumerate(CLIENTS[:18])}
    assert {"pi-18", "pi-19"} <= set(cohort(Tiers(), Call(1, 0, 5, known), CLIENTS))
    known |= {"pi-18": Known(seconds=3.0), "pi-19": Known(seconds=3.0)}
    found = Counter[int]()
    for number in range(1, 401):
        speeds = {known[client].seconds for client in cohort(Tiers(Speeds(tiers=4)), Call(number, 0, 4, known), CLIENTS)}
        assert len(speeds) == 1
        found.update(int(speed or 0) for speed in speeds)
    assert all(70 <= times <= 130 for times in found.values()), "each tier with the same probability"
    large = cohort(Tiers(Speeds(tiers=20)), Call(1, 0, 3, known), CLIENTS)
    assert len(large) == 3, "a tier of one is filled up"


def test_adaptive_tiers_ask_the_worst_served_most_often_as_the_paper_says() -> None:
    # Four tiers of five clients, the slowest with the largest loss: (n - i) / D from the worst is 3/6, 2/6, 1/6 and nothing.
    known = {c: Known(seconds=float(n // 5), samples=10, loss=float(n // 5)) for n, c in enumerate(CLIENTS)}
    found = counted(AdaptiveTiers(Credits(tiers=4)), 5, known, 1200)
    asked = [found[client] / 1200 for client in CLIENTS[::5]]
    assert asked == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6], abs=0.04)
    unheard = {client: Known(seconds=each.seconds) if each.seconds == 0 else each for client, each in known.items()}
    first = counted(AdaptiveTiers(Credits(tiers=4)), 5, unheard, 400)
    assert first["pi-00"] > 160, "a tier that told no loss is taken for the worst"


def test_a_tier_that_spent_its_credits_is_asked_no_more_and_in_the_end_the_fastest_is() -> None:
    def of(*times: int) -> dict[str, Known]:
        return {c: Known(seconds=float(n // 5), samples=10, loss=float(n // 5), times=times[n // 5]) for n, c in enumerate(CLIENTS)}

    kind = AdaptiveTiers(Credits(tiers=4, credits=8))
    assert counted(kind, 5, of(0, 0, 0, 7), 60)["pi-19"] > 15
    spent = counted(kind, 5, of(0, 0, 0, 8), 600)
    assert [spent[client] / 600 for client in CLIENTS[::5]] == pytest.approx([0, 1 / 3, 2 / 3, 0], abs=0.06)
    assert set(counted(kind, 5, of(0, 8, 8, 8), 9)) == set(CLIENTS[:5]), "one is left"
    assert set(counted(kind, 5, of(8, 8, 8, 8), 9)) == set(CLIENTS[:5]), "none is left: the fastest costs least"


def oort_by_the_paper(known: dict[str, Known], number: int, preferred: float, alpha: float) -> dict[str, float]:
    """Equation 2 and the uncertainty of algorithm 1, written from the paper."""
    names = sorted(known)
    samples, loss, times, last = (
        np.array([getattr(known[name], field) for name in names], float) for field in ("samples", "loss", "seconds", "answered")
    )
    statistical = samples * np.sqrt(loss**2)
    statistical = np.minimum(statistical, np.quantile(statistical, 0.95))
    statistical = statistical / statistical.max() + np.sqrt(0.1 * np.log(number) / last)
    system = np.where(preferred < times, (preferred / times) ** alpha, 1.0)
    return dict(zip(names, statistical * system, strict=True))


def test_oorts_utility_is_the_papers() -> None:
    generator = np.random.default_rng(5)
    known = {
        client: Known(answered=int(last), samples=int(samples), loss=float(loss), seconds=float(seconds))
        for client, last, samples, loss, seconds in zip(
            CLIENTS, generator.integers(1, 12, 20), generator.integers(10, 500, 20), generator.gamma(2, 1, 20), generator.gamma(2, 5, 20),
            strict=True,
        )
    }  # fmt: skip
    call, oort = Call(12, 0, 5, known), Oort(Balance(penalty=1.5, preferred=0.4))
    preferred = float(np.quantile([each.seconds for each in known.values() if each.seconds], 0.4))
    assert oort.preferred_time(call, CLIENTS) == pytest.approx(preferred)
    assert oort.utilities(call, CLIENTS) == pytest.approx(oort_by_the_paper(known, 12, preferred, 1.5))


def test_oort_explores_less_and_less_and_exploits_the_best() -> None:
    known = {client: Known(answered=1, samples=10, loss=1.0 + 9 * (index < 3), seconds=1.0) for index, client in enumerate(CLIENTS[:10])}
    first = cohort(Oort(), Call(1, 0, 10, known), CLIENTS)
    assert sum(client not in known for client in first) == 9, "0.9 of ten"
    late = cohort(Oort(Balance(cutoff=1)), Call(200, 0, 4, known), CLIENTS)
    assert sum(client not in known for client in late) == 1, "0.2 of four"
    assert set(CLIENTS[:3]) <= set(late)


def test_oort_lets_slower_clients_in_where_rounds_teach_less() -> None:
    known = {client: Known(answered=1, samples=10, loss=1.0, seconds=float(index)) for index, client in enumerate(CLIENTS)}
    falling = {number: 100.0 - number for number in range(1, 60)}
    oort = Oort(Balance(window=10))
    usual = oort.preferred_time(Call(60, 0, 5, known, dict.fromkeys(range(1, 60), 1.0)), CLIENTS)
    slower = oort.preferred_time(Call(60, 0, 5, known, falling), CLIENTS)
    assert usual is not None
    assert slower is not None
    assert slower > usual


class Nobody(Selection):
    """Chooses nobody."""

    def choose(self, call: Call, clients: Any) -> list[str]:
        return []


class Failing(Selection):
    """Fails."""

    def choose(self, call: Call, clients: Any) -> list[str]:
        raise ZeroDivisionError("by nothing")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Nobody, "Nobody was to choose 5 of 20 clients, each once, and did not; ask its author"),
        (Failing, "Failing failed (ZeroDivisionError"),
    ],
)
def test_what_a_third_partys_selection_does_wrong_is_a_sentence(kind: type[Selection], sentence: str) -> None:
    with pytest.raises(BrambleError) as refused:
        cohort(kind(), Call(1, 0, 5), CLIENTS)
    assert str(refused.value).startswith(f"selection: {sentence}")


MODULE = """
from bramble_server.learning.selection import Selection

class Mine(Selection):
    \"\"\"Chooses the first by name.\"\"\"

    def choose(self, call, clients):
        return list(clients)[:call.count]
"""


def test_another_packages_selection_is_chosen_and_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(install(tmp_path / "mine", MODULE, "radon-plugin", selection="mine = radon_plugin:Mine"))
    assert selection.named("mine", {}).cohort(Call(1, 0, 2), CLIENTS) == ("pi-00", "pi-01")
    listed = json.loads(CliRunner().invoke(cli.app, ["strategies", "--selections", "--json"]).stdout)
    assert [item["name"] for item in listed] == [*SELECTIONS, "mine"]
    assert listed[-1]["description"] == "Chooses the first by name."


@pytest.mark.parametrize("name", [name for name, kind in SELECTIONS.items() if not kind.coins])
def test_a_selection_by_loss_is_refused_where_losses_are_hidden(name: str) -> None:
    private = Alone(mode="private", clients_per_round=5, selection=name)
    if SELECTIONS[name].by_loss:
        with pytest.raises(BrambleError, match=rf"^selection: fedavg would be given clients by their loss \(--selection {name}\)"):
            foundation.read(private)
    else:
        foundation.read(private)
    foundation.read(Alone(clients_per_round=5, selection=name))


def test_a_cohort_is_no_smaller_than_the_strategy_needs() -> None:
    with pytest.raises(BrambleError, match=r"krum makes nothing of fewer than 5 clients.*say --clients-per-round 5"):
        foundation.read(Alone(clients_per_round=4, strategy="krum", min_clients=10))


def test_the_page_lists_every_selection_with_its_ranges() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cohorts.md").read_text("utf-8")
    for name, kind in SELECTIONS.items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        for item in parameters.listed(kind.takes):
            assert f"`{item['name']}` ({item['range']}, default {item['default']:g})" in row
