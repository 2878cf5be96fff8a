"""Every way in which sensors fail in the field, to be switched on for the simulated bus: at run time, by a script, by chance."""

from __future__ import annotations

import errno
import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from bramble_client.hal.channels import quantity
from bramble_client.hal.clock import Clock
from bramble_client.hal.sim.bus import carry
from bramble_client.hal.sim.chips.base import Chip, nack


class Kind(StrEnum):
    """What can go wrong."""

    NACK = "nack"
    """The chip does not acknowledge one transfer (errno 121 or 19: kernels differ)."""
    TIMEOUT = "timeout"
    """One transfer times out (errno 110)."""
    STUCK = "stuck"
    """The data line is held low: for a while, every transfer on the bus times out."""
    BUSY = "busy"
    """A kernel driver owns the address (errno 16)."""
    PERMISSION = "permission"
    """The device file may not be used (errno 13)."""
    SHORT_READ = "short_read"
    """Fewer bytes arrive than were asked for."""
    BIT_FLIP = "bit_flip"
    """One bit of what is read, or else of what is written, changes on the way."""
    BAD_CRC = "bad_crc"
    """One bit of a check sum changes on the way; chips without one are spared."""
    WRONG_ID = "wrong_id"
    """The chip answers one transfer as another chip would."""
    BROWN_OUT = "brown_out"
    """The chip loses its power for a moment and comes back with its power-on values."""
    UNPLUG = "unplug"
    """The chip is gone for a while, then plugged in again."""
    FROZEN = "frozen"
    """For a while, conversions end, but the data registers keep their values."""
    DRIFT = "drift"
    """For a while, what the chip feels moves away from the truth."""
    SPIKE = "spike"
    """What the chip feels jumps for one conversion."""


LASTING = {Kind.STUCK: 0.05, Kind.UNPLUG: 5.0, Kind.FROZEN: 60.0, Kind.DRIFT: 600.0}
"""Kinds that last, and for how many seconds unless told otherwise."""
SIZE = {Kind.DRIFT: 0.05, Kind.SPIKE: 0.2}
"""Kinds that shift values: by which part of the channel's plausible range (drift: in the time that it lasts)."""


@dataclass
class Rule:
    """One fault that is on.

    Parameters
    ----------
    kind
        What goes wrong.
    probability
        Of its beginning, at each transfer.
    address
        Of the chip that suffers it, or None for all.
    seconds
        How long it lasts, where it lasts.
    size
        How far it shifts values, as a part of the channel's plausible range.
    start, end
        Between which times of the clock it may begin.
    once
        Whether it begins at most once at each address.
    """

    kind: Kind
    probability: float = 1.0
    address: int | None = None
    seconds: float = 0.0
    size: float = 0.0
    start: float = float("-inf")
    end: float = float("inf")
    once: bool = False

    def __post_init__(self) -> None:
        self.kind = Kind(self.kind)
        self.seconds = self.seconds or LASTING.get(self.kind, 0.0)
        self.size = self.size or SIZE.get(self.kind, 0.0)
        self.begun: set[int] = set()


class Faults:
    """Sits between the simulated bus and its chips.

    Parameters
    ----------
    clock
        The bus's clock, by which faults begin and end.
    seed
        Makes chance the same again.
    """

    def __init__(self, clock: Clock, seed: int | str = 0) -> None:
        self.rules: list[Rule] = []
        self.counts: Counter[tuple[Kind, int]] = Counter()
        """How often each fault has begun at each address."""
        self._clock = clock
        self._random = random.Random(f"faults {seed}")
        self._until: dict[tuple[Kind, int], float] = {}
        self._chips: dict[int, Chip] = {}
        self._spiking: set[int] = set()
        self._count_chances()

    def on(self, kind: Kind | str, probability: float = 1.0, **options: float | int | bool | None) -> Rule:
        """Switch a fault on, and return it; see ``Rule`` for the options."""
        rule = Rule(Kind(kind), probability, **options)  # type: ignore[arg-type]
        self.rules.append(rule)
        self._count_chances()
        return rule

    def off(self, kind: Kind | str | None = None) -> None:
        """Switch faults of one kind off, or all, and end those that last."""
        self.rules = [rule for rule in self.rules if kind is not None and rule.kind != kind]
        self._count_chances()
        for lasting, address in list(self._until):
            if kind is None or lasting == kind:
                self._end(lasting, address)

    def transfer(self, address: int, chip: Chip | None, write: bytes, read: int) -> bytes:
        """Carry a transfer out, or let it fail as the kernel does."""
        now = self._clock.monotonic()
        if self._until:
            for key in [key for key, until in self._until.items() if until <= now]:
                self._end(*key)
        begun = self._begun(address, chip, now)
        if not begun and not self._until:
            return carry(chip, write, read)
        if chip is not None:
            self._chips[address] = chip
        kinds = {rule.kind for rule in begun}
        for rule in begun:
            if rule.kind in LASTING or rule.kind is Kind.SPIKE:
                self._begin(rule, address, chip, now)
        self._fail(address, kinds)
        if chip is None:
            raise nack()
        if Kind.BROWN_OUT in kinds:
            chip.power_on()
        return self._damaged(chip, write, read, kinds)

    def _begun(self, address: int, chip: Chip | None, now: float) -> list[Rule]:
        """Return the rules that strike now: all those that are certain, and at most one of those left to chance, in one throw."""
        throw = self._random.random()
        if throw >= self._chance and not self._certain:
            return []
        begun = []
        for rule in self.rules:
            if rule.probability < 1.0:
                throw -= rule.probability
                if not -rule.probability <= throw < 0:
                    continue
            if self._may_begin(rule, address, chip, now):
                rule.begun.add(address)
                self.counts[rule.kind, address] += 1
                begun.append(rule)
        return begun

    def _count_chances(self) -> None:
        self._chance = sum(rule.probability for rule in self.rules if rule.probability < 1.0)
        self._certain = any(rule.probability >= 1.0 for rule in self.rules)

    def _may_begin(self, rule: Rule, address: int, chip: Chip | None, now: float) -> bool:
        if rule.address not in (None, address) or not rule.start <= now <= rule.end:
            return False
        if rule.kind is Kind.BAD_CRC and not (chip is not None and chip.checked):
            return False
        return not (rule.once and address in rule.begun) and (rule.kind, address) not in self._until

    def _begin(self, rule: Rule, address: int, chip: Chip | None, now: float) -> None:
        if rule.kind in LASTING:
            self._until[rule.kind, -1 if rule.kind is Kind.STUCK else address] = now + rule.seconds
        if chip is None:
            return
        if rule.kind is Kind.FROZEN:
            chip.frozen = True
        elif rule.kind is Kind.DRIFT:
            sign = self._random.choice((-1, 1))
            chip.disturb = lambda key, value: value + sign * rule.size * _span(key) * (self._clock.monotonic() - now) / rule.seconds
        elif rule.kind is Kind.SPIKE and chip.disturb is None:
            sign = self._random.choice((-1, 1))
            felt: set[str] = set()
            self._spiking.add(address)

            def spike(key: str, value: float) -> float:
                if key in felt:  # the next conversion has begun
                    chip.disturb = None
                    self._spiking.discard(address)
                    return value
                felt.add(key)
                return value + sign * rule.size * _span(key)

            chip.disturb = spike

    def _end(self, kind: Kind, address: int) -> None:
        del self._until[kind, address]
        chip = self._chips.get(address)
        if chip is None:
            return
        if kind is Kind.UNPLUG:
            chip.power_on()
        elif kind is Kind.FROZEN:
            chip.frozen = False
        elif kind is Kind.DRIFT:
            chip.disturb = None

    def _fail(self, address: int, kinds: set[Kind]) -> None:
        if Kind.PERMISSION in kinds:
            raise OSError(errno.EACCES, "Permission denied")
        if Kind.BUSY in kinds:
            raise OSError(errno.EBUSY, "Device or resource busy")
        if Kind.TIMEOUT in kinds or (Kind.STUCK, -1) in self._until:
            raise OSError(errno.ETIMEDOUT, "Connection timed out")
        if (Kind.UNPLUG, address) in self._until:
            raise nack()
        if Kind.NACK in kinds:
            raise nack() if self._random.random() < 0.5 else OSError(errno.ENODEV, "No such device")

    def _damaged(self, chip: Chip, write: bytes, read: int, kinds: set[Kind]) -> bytes:
        if Kind.BIT_FLIP in kinds and not read and write:
            write = self._flip(write, range(len(write)))
        if Kind.WRONG_ID in kinds:
            chip.impostor = True
        try:
            data = carry(chip, write, read)
        finally:
            if Kind.WRONG_ID in kinds:
                chip.impostor = False
        if data and Kind.BIT_FLIP in kinds:
            data = self._flip(data, range(len(data)))
        if len(data) >= 3 and Kind.BAD_CRC in kinds:
            data = self._flip(data, range(2, len(data), 3))
        if data and Kind.SHORT_READ in kinds:
            data = data[: self._random.randrange(len(data))]
        return data

    def _flip(self, data: bytes, among: range) -> bytes:
        where = self._random.choice(among)
        return data[:where] + bytes((data[where] ^ 1 << self._random.randrange(8),)) + data[where + 1 :]


def _span(key: str) -> float:
    row = quantity(key)
    return row.high - row.low
