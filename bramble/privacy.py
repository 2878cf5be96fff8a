"""``bramble privacy plan``: what noise a privacy budget takes, and what that does to the model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bramble.settings import PrivacyPlanSettings, SimulateSettings
from bramble.simulation.run import INTERRUPTED, Run
from bramble_protocol import accountant
from bramble_protocol.errors import BrambleError
from bramble_server import tasks

QUANTILE = 0.5
"""Part of the updates that the clip goes after: what the authors of adaptive clipping advise where nothing is known."""
OUTER = "dp"
DEAR = 0.05
"""How much larger the error may be because of the noise before a plan says that the fleet is too small."""


@dataclass(frozen=True)
class Plan:
    """What a budget takes."""

    clients: int
    rounds: int
    epsilon: float
    delta: float
    noise_multiplier: float
    parameters: int
    noise_over_clip: float
    """Length of the noise in the mean of a round's updates, over the length that one update may have."""
    share: float
    """Probability with which each client is asked in a round."""

    @property
    def enough_clients(self) -> int:
        """Clients from which on the noise of a round is no longer than one update may be."""
        return math.ceil(self.noise_multiplier * math.sqrt(self.parameters) / self.share)


def run(settings: PrivacyPlanSettings) -> int:
    """Print the plan, and what a simulated fleet comes to with it; return 0, or 130 after Ctrl-C.

    Raises
    ------
    BrambleError
        If the numbers are no budget, or the simulation could not begin.
    """
    if settings.delta >= 1 / settings.clients:
        raise BrambleError(
            f"delta: {settings.delta:g} lets one client of {settings.clients} be told outright; take one well below "
            f"{1 / settings.clients:.2g}"
        )
    noise = accountant.noise_for(settings.epsilon, settings.delta, settings.rounds, settings.share)
    size = tasks.load(settings.task).manifest.layout.size
    plan = Plan(
        settings.clients,
        settings.rounds,
        settings.epsilon,
        settings.delta,
        noise,
        size,
        noise * math.sqrt(size) / (settings.share * settings.clients),
        settings.share,
    )
    console = Console(highlight=False, stderr=settings.as_json)
    if not settings.as_json:
        console.print("\n".join(_said(plan, settings)), soft_wrap=True)
    try:
        found = _simulated(plan, settings, console) if settings.simulate else None
    except KeyboardInterrupt:
        console.print("Stopped before its end.")
        return 130
    if settings.as_json:
        print(json.dumps({**asdict(plan), "enough_clients": plan.enough_clients, "simulated": found}, indent=1))
    elif found:
        console.print(_came_to(found, settings), soft_wrap=True)
    return 0


def _came_to(found: dict[str, Any], settings: PrivacyPlanSettings) -> str:
    price = found["error"] / found["error_without"] - 1
    said = (
        f"Simulated with seed {settings.seed}: {found['metric']} {found['error']:.3f} {found['unit']} with noise, "
        f"{found['error_without']:.3f} without, {found['baseline']:.3f} of {found['baseline_is']}."
    )
    if price <= DEAR:
        return said
    return (
        f"{said} [yellow]This fleet is too small for this budget[/]: the noise costs {100 * price:.0f} % of the error. It takes more "
        "clients, fewer rounds, a larger epsilon or a smaller model."
    )


def _said(plan: Plan, settings: PrivacyPlanSettings) -> Iterator[str]:
    part = "all take part in" if plan.share == 1 else f"are each asked with a probability of {plan.share:g} in each of"
    yield (
        f"{plan.clients} clients that {part} {plan.rounds} rounds, epsilon {plan.epsilon:g} at a delta of {plan.delta:g}: "
        f"noise multiplier [bold]{plan.noise_multiplier:.4g}[/]."
    )
    yield (
        f"The mean of a round's updates gets noise {plan.noise_over_clip:.2g} times as long as the longest update may be "
        f"({plan.parameters:,} parameters)."
    )
    if plan.noise_over_clip > 1:
        yield (
            "So in one round nothing is seen but noise, and what remains must come of many; from some "
            f"{plan.enough_clients:,} clients on it would be the shorter one."
        )
    yield "On a server:"
    options = [f"noise_multiplier={plan.noise_multiplier:.5g}", f"quantile={QUANTILE}"]
    yield (
        f"  bramble server --mode private --strategy {_strategy(settings)} "
        + " ".join(f"--strategy-option {option}" for option in options)
        + f" --epsilon {plan.epsilon:g} --delta {plan.delta:g}"
        + ("" if plan.share == 1 else f" --selection poisson --clients-per-round {plan.share:g}")
    )


def _strategy(settings: PrivacyPlanSettings) -> str:
    return OUTER if settings.strategy == "fedavg" else f"{OUTER}+{settings.strategy}"


def _simulated(plan: Plan, settings: PrivacyPlanSettings, console: Console) -> dict[str, Any]:
    """Let a simulated fleet learn with the noise and without; return what each model's error is."""
    common = {name: getattr(settings, name) for name in ("clients", "rounds", "seed", "task", "workers")}
    noisy = {"noise_multiplier": plan.noise_multiplier, "quantile": QUANTILE}
    part: dict[str, Any] = {} if plan.share == 1 else {"clients_per_round": plan.share}
    coins = part and {**part, "selection": "poisson"}
    runs = [
        Run(SimulateSettings(**common, **coins, strategy=_strategy(settings), strategy_option=noisy)),
        Run(SimulateSettings(**common, **part, strategy=settings.strategy)),
    ]
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    outcomes = []
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        for name, ready in zip(("with noise", "without"), runs, strict=True):
            bar = progress.add_task(name, total=settings.rounds)
            outcome = ready.play(lambda _, bar=bar: progress.update(bar, advance=1))  # type: ignore[misc]
            if outcome.stopped == INTERRUPTED:
                raise KeyboardInterrupt
            if outcome.stopped:
                raise BrambleError(outcome.stopped)
            outcomes.append(outcome.summary)
    metric = runs[0].metric
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "error": outcomes[0]["error"],
        "error_without": outcomes[1]["error"],
        "baseline": outcomes[0]["baseline"],
        "baseline_is": metric.baseline.partition(":")[0],
    }
