"""What a strategy combines with: the table by which a server refuses at its start what would come to nothing, or say too much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bramble_protocol import codecs
from bramble_protocol.codecs import topk
from bramble_protocol.errors import BrambleError
from bramble_protocol.features import CONTROL, CORRECTION, MOMENTUM, STEPS
from bramble_protocol.secure import LEAST
from bramble_server.learning.selection import SELECTIONS
from bramble_server.learning.strategies.base import Strategy
from bramble_server.learning.strategies.fedavg import FedAvg

PRIVATE_BLEND = 2
"""Clients of whose weights a number of a private fleet's model is made at least: that of one would be that client's own."""
_MOST = 1000
"""Updates up to which it is looked at how many of them a model is made of."""

ALL = "all that are able"
SECURE = "secure"

AXES: Mapping[str, tuple[str, ...]] = {
    "codec": (*codecs.CODECS, topk.NAME),
    "selection": (ALL, *SELECTIONS),
    "discipline": ("synchronous", "asynchronous"),
    "mode": ("evaluation", "private"),
    "graph": ("format 2", "format 1"),
    "run": ("whole", "in part"),
    "sum": ("plain", SECURE),
}
"""What a strategy may meet, by kind, as far as a server has it to offer."""


@dataclass(frozen=True)
class Surroundings:
    """What a server has a strategy work with: a value of each kind, and how many clients and updates make a round."""

    codec: str = "float32"
    selection: str = ALL
    by_loss: bool = False
    """Whether the selection goes by clients' losses."""
    coins: bool = False
    """Whether the selection asks each client by a coin of its own."""
    discipline: str = "synchronous"
    mode: str = "evaluation"
    graph: str = "format 2"
    run: str = "whole"
    """Whether a client's run is of use that had to end before its last step."""
    sum: str = "plain"
    """Whether the server sees each update, or their sum alone."""
    clients: int = _MOST
    updates: int = 3
    chosen: bool = False
    """Whether it is said how many are asked."""


@dataclass(frozen=True)
class Rule:
    """One thing that does not combine."""

    axis: str
    """The kind that it is about; empty for the size of a round."""
    broken: Callable[[Strategy, Surroundings], bool]
    sentence: str
    """Why, and what to do, after the strategy's name."""
    setting: str = "strategy"
    """The setting that is to be changed."""


def _losses_hidden(strategy: Strategy, around: Surroundings) -> bool:
    return around.mode == "private" and around.by_loss


def _own_weights_shown(strategy: Strategy, around: Surroundings) -> bool:
    first = max(around.updates, strategy.least)
    return around.mode == "private" and min(map(strategy.blends, range(first, first + _MOST))) < PRIVATE_BLEND


def _steps_uncorrected(strategy: Strategy, around: Surroundings) -> bool:
    return around.graph == "format 1" and bool({MOMENTUM, CORRECTION, CONTROL} & set(strategy.needs))


def _steps_untold(strategy: Strategy, around: Surroundings) -> bool:
    return around.run == "in part" and STEPS not in strategy.needs


def _noise_would_not_cover(strategy: Strategy, around: Surroundings) -> bool:
    return strategy.release is not None and around.by_loss


def _colluding(strategy: Strategy) -> int:
    return strategy.parameters.colluding if strategy.summable else 0


def _one_model_needed(strategy: Strategy, around: Surroundings) -> bool:
    return around.discipline == "asynchronous" and CONTROL in strategy.needs


RULES = (
    Rule(
        "sum",
        lambda strategy, around: around.sum == SECURE and not (strategy.linear or strategy.summable),
        "needs more than a sum of updates, such as each one of them or what clients measured, and --secure shows the sum alone; go by "
        "fedavg, fedprox, fedavgm, fedadagrad, fedadam or fedyogi, or dp around one of them",
    ),
    Rule(
        "",
        lambda strategy, around: around.sum == SECURE and _colluding(strategy) >= max(LEAST, around.updates),
        "does not count on the noise of {colluding} clients, and {updates} are enough for a sum, so it might have none; raise "
        "--min-updates, or lower colluding",
    ),
    Rule(
        "",
        lambda strategy, around: around.sum != SECURE and _colluding(strategy) > 0,
        "has noise added by clients with --secure alone, so nobody else's need be left uncounted; say --secure, or leave colluding out",
    ),
    Rule(
        "codec",
        lambda strategy, around: around.sum == SECURE and around.codec != "float32",
        "would be given a sum of masked words, which have an encoding of their own; leave --codec out",
        "codec",
    ),
    Rule(
        "discipline",
        lambda strategy, around: around.sum == SECURE and around.discipline == "asynchronous",
        "would be given a sum, and those who are in it must be there at the same time; say --discipline synchronous",
        "secure",
    ),
    Rule(
        "selection",
        lambda strategy, around: around.sum == SECURE and around.by_loss,
        "would be given clients by their loss (--selection {selection}), and --secure tells nobody's; select otherwise, such as by uniform",
        "selection",
    ),
    Rule(
        "",
        lambda strategy, around: around.sum == SECURE and around.coins,
        "would be given clients by coins that nobody may know of (--selection {selection}), and --secure tells those in a sum who is in "
        "it; select otherwise, such as by uniform",
        "selection",
    ),
    Rule(
        "selection",
        lambda strategy, around: around.coins and strategy.release is None,
        "adds no noise, so coins that decide who is asked (--selection {selection}) would hide nobody; take dp, or select otherwise, such "
        "as by uniform",
    ),
    Rule(
        "codec",
        lambda strategy, around: around.codec == topk.NAME and not strategy.partial,
        f"goes by what most clients say of a number, or by a few clients, and with {topk.NAME} each says something of few numbers; go by "
        "delta-int8",
        "codec",
    ),
    Rule(
        "",
        lambda strategy, around: around.codec == topk.NAME and around.mode == "private",
        f"would make numbers of the model of what one client alone sent, for with {topk.NAME} each sends others, and private mode shows "
        "nobody's weights; go by delta-int8",
        "codec",
    ),
    Rule(
        "discipline",
        lambda strategy, around: around.discipline == "asynchronous" and not strategy.streams,
        "compares all updates of a round, and those of asynchronous rounds were trained from different models; go by one that streams, "
        "such as normbound+fedavg, or say --discipline synchronous",
    ),
    Rule(
        "discipline",
        _one_model_needed,
        "keeps controls that belong to one model, and clients of asynchronous rounds train from different ones; go by fedprox or fednova, "
        "or say --discipline synchronous",
    ),
    Rule(
        "discipline",
        lambda strategy, around: around.discipline == "asynchronous" and strategy.release is not None,
        "divides by the clients that a round asked, and an asynchronous round ends with those that come first; say --discipline "
        "synchronous",
    ),
    Rule(
        "selection",
        _noise_would_not_cover,
        "would be given clients by what they say of their losses (--selection {selection}), which its noise does not cover; select "
        "otherwise, such as by uniform",
        "selection",
    ),
    Rule(
        "graph",
        _steps_uncorrected,
        "changes a client's single steps, which the graph of task {task} does not let it, for it is of format 1; export it again with this "
        "version of Bramble",
    ),
    Rule(
        "run",
        _steps_untold,
        "does not ask how many steps a client took, so one whose time is up hands in nothing; go by one that does, such as fednova",
    ),
    Rule(
        "mode",
        _own_weights_shown,
        "may make numbers of the model of one client's weights alone, and private mode shows nobody's; go by one that blends more, such as "
        "rfa",
    ),
    Rule(
        "",
        _losses_hidden,
        "would be given clients by their loss (--selection {selection}), and private mode hides the losses of clients with few windows, "
        "whom it would ask again and again; select otherwise, such as by uniform or tiers",
        "selection",
    ),
    Rule(
        "",
        lambda strategy, around: around.discipline == "asynchronous" and around.selection != ALL,
        "would be given clients by --selection {selection}, and asynchronous rounds ask whoever waited longest; leave it out, or say "
        "--discipline synchronous",
        "selection",
    ),
    Rule(
        "",
        lambda strategy, around: strategy.least > around.clients,
        "makes nothing of fewer than {least} clients, and a round would start with {clients}; say {remedy} {least}",
    ),
)


def check(name: str, strategy: Strategy, around: Surroundings, task: str = "") -> None:
    """Refuse what does not combine.

    Raises
    ------
    BrambleError
        With the reason and the remedy.
    """
    said: dict[str, object] = {"least": strategy.least, "clients": around.clients, "selection": around.selection}
    said |= {"updates": max(LEAST, around.updates), "colluding": _colluding(strategy)}
    said["remedy"] = "--clients-per-round" if around.chosen else "--min-clients"
    for rule in RULES:
        if rule.broken(strategy, around):
            raise BrambleError(f"{rule.setting}: {name} {rule.sentence.format(task=task, **said)}")


def combinations(strategy: Strategy) -> dict[str, dict[str, bool]]:
    """Return for each kind and value whether a strategy combines with it, all else being as it is by default."""
    return {axis: {value: not _broken(axis, strategy, _with(axis, value)) for value in values} for axis, values in AXES.items()}


def _with(axis: str, value: str) -> Surroundings:
    chosen = SELECTIONS.get(value) if axis == "selection" else None
    around = Surroundings(by_loss=chosen is not None and chosen.by_loss, coins=chosen is not None and chosen.coins)
    return replace(around, **{axis: value})  # type: ignore[arg-type]


def selecting(name: str, by_loss: bool) -> dict[str, dict[str, bool]]:
    """Return for each discipline and mode whether a selection combines with it, whatever the strategy.

    Parameters
    ----------
    by_loss
        Whether it goes by clients' losses.
    """
    around, rules = Surroundings(selection=name, by_loss=by_loss), [rule for rule in RULES if rule.setting == "selection"]
    return {
        axis: {value: not any(rule.broken(FedAvg(), replace(around, **{axis: value})) for rule in rules) for value in AXES[axis]}  # type: ignore[arg-type]
        for axis in ("discipline", "mode")
    }


def _broken(axis: str, strategy: Strategy, around: Surroundings) -> bool:
    return any(rule.axis == axis and rule.broken(strategy, around) for rule in RULES)
