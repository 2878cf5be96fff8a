"""A secure sum without a server: parties and a collector that hand each other what they say, and parties that drop out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from bramble_protocol.layout import Weights
from bramble_protocol.secure.collector import Collector, Opened, split
from bramble_protocol.secure.fixed import Encoding, Words
from bramble_protocol.secure.party import Party, Whose
from bramble_protocol.secure.roll import Roll

CONTEXT = bytes(32)
WINDOWS = 1000
METRICS = {"loss_before": 2.0, "loss_after": 1.0, "test_samples": 30.0, "test_error": 0.5, "test_baseline": 0.75}
PHASES = ("shares", "masked", "list", "open")
"""In which a client can drop out after it gave its keys."""


class Sum:
    """One round of clients with a change each."""

    def __init__(
        self, changes: Mapping[str, Weights], reach: float = 8.0, context: bytes = CONTEXT, whose: Mapping[str, Whose] | None = None,
        roll: Roll | None = None,
    ) -> None:  # fmt: skip
        self.changes = dict(changes)
        size = len(next(iter(changes.values())))
        self.encoding = Encoding(len(changes), reach, WINDOWS)
        self.parties = {name: Party(name, context, whose=(whose or {}).get(name)) for name in changes}
        self.collector = Collector(context, self.encoding, size, roll)
        self.samples = {name: 100 + 10 * number for number, name in enumerate(changes)}
        self.seen: dict[str, Words] = {}
        """The masked words of each, as a server sees them."""
        self.live = sorted(changes)

    def say(self, phase: str, part: Callable[[str], bytes], dropping: Collection[str] = ()) -> None:
        """Have those that are left do a phase, but for those that drop out in it."""
        self.live = [name for name in self.live if name not in dropping]
        for name in self.live:
            self.collector.take(name, phase, part(name))

    def keys(self) -> None:
        """Have all give their keys."""
        self.say("keys", lambda name: self.parties[name].keys())

    def shares(self, dropping: Collection[str] = ()) -> None:
        """Have all share their secrets."""
        told = self.collector.told("shares", self.live)
        self.say("shares", lambda name: self.parties[name].share(split(*told[name])), dropping)

    def mask(self, dropping: Collection[str] = ()) -> None:
        """Have all mask their words."""
        told = self.collector.told("masked", self.live)
        for name in self.live:
            self.parties[name].take(split(*told[name]))
        self.live = [name for name in self.live if name not in dropping]
        for name in self.live:
            self.seen[name] = self.parties[name].mask(self.encoding.encode(self.changes[name], self.samples[name], METRICS))
            self.collector.mask(name, self.seen[name].tobytes())

    def agree(self, dropping: Collection[str] = ()) -> None:
        """Have all agree to who is in it."""
        told = self.collector.told("list", self.live)
        self.say("list", lambda name: self.parties[name].agree(told[name][0]), dropping)

    def unmask(self, dropping: Collection[str] = ()) -> None:
        """Have all give the shares that open it."""
        told = self.collector.told("open", self.live)
        self.say("open", lambda name: self.parties[name].unmask(split(*told[name])), dropping)

    def run(self, drops: Mapping[str, Collection[str]] | None = None) -> Opened:
        """Go through all phases, and open it."""
        gone = dict.fromkeys(PHASES, ()) | dict(drops or {})
        self.keys()
        self.shares(gone["shares"])
        self.mask(gone["masked"])
        self.agree(gone["list"])
        self.unmask(gone["open"])
        return self.collector.open()

    def mean(self, names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the mean that a sum of these clients says, shape (size,)."""
        weights = np.array([min(self.samples[name], WINDOWS) for name in names], np.float64)
        return np.asarray(weights @ np.array([self.changes[name] for name in names], np.float64) / weights.sum())

    @property
    def accuracy(self) -> float:
        """How far a mean may be from the true one: half a step of each client that is in it, and the same of their weights."""
        return self.encoding.step * WINDOWS / min(self.samples.values())


def changes(clients: int, size: int, seed: int = 0, scale: float = 0.1) -> dict[str, Weights]:
    """Return random changes of so many clients."""
    random = np.random.default_rng(seed)
    return {f"pi-{number:03}": (scale * random.standard_normal(size)).astype(np.float32) for number in range(clients)}
