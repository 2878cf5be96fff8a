"""Words with noise: each client shortens its own change and adds its share, so that what a server learns is a sum with noise in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bramble_protocol import fields
from bramble_protocol.errors import EncodingError, ProtocolError
from bramble_protocol.layout import Weights
from bramble_protocol.privacy import relative
from bramble_protocol.secure.fixed import MOST, Encoding, Words

FINEST = 10.0
"""Steps that the deviation of a client's noise has at least. So the sum of such noises differs from a normal one by less than exp(-900)."""
TAIL = 9.0
"""Deviations of the noise in a sum for which its words have room: what is beyond, one number in 10^18, wraps around and hides no less."""
CUT = 1 - 1e-9
"""Leaves of a length what float64 cannot have made too long."""


@dataclass(frozen=True)
class Noise:
    """What each client of a secure sum does to its own change.

    All of a client's numbers get noise of the same deviation. What it says beside its change is scaled first, so that it costs what the
    server allots to it.
    """

    clip: float
    """Length to which a longer change is shortened."""
    deviation: float
    """Of a client's noise in each number, in units of weights."""
    within: float
    """What it counts, in units of weights, whether the change was no longer than ``clip``: half of it more, or half of it less."""
    relative: float
    """What its error over its baseline's counts likewise, less one and at most one (:func:`bramble_protocol.privacy.relative`)."""
    least: int
    """Clients below which no sum may be opened."""
    colluding: int = 0
    """How many of them are not counted on: they may tell the server what noise they added, or have added none."""

    @property
    def bound(self) -> float:
        """Length of what one client adds to the sum, at most."""
        return math.sqrt(self.clip**2 + (self.within / 2) ** 2 + self.relative**2)

    @property
    def multiplier(self) -> float:
        """Deviation of the noise that is in any sum which may be opened, over ``bound``."""
        return self.deviation * math.sqrt(self.least - self.colluding) / self.bound

    @classmethod
    def from_wire(cls, value: Any) -> Noise:
        """Read and check the wire form."""
        what = "secure.noise"
        item = fields.mapping(value, what, ("clip", "deviation", "within", "relative", "least", "colluding"))
        least = fields.integer(item["least"], f"{what}.least", 2, MOST)
        return cls(
            fields.number(item["clip"], f"{what}.clip", 1e-9, 1e6),
            fields.number(item["deviation"], f"{what}.deviation", 1e-9, 1e9),
            fields.number(item["within"], f"{what}.within", 0, 1e9),
            fields.number(item["relative"], f"{what}.relative", 0, 1e9),
            least,
            fields.integer(item["colluding"], f"{what}.colluding", 0, least - 1),
        )


@dataclass(frozen=True)
class Noised(Encoding):
    """How a client's change becomes words with its share of the noise in them.

    The distributed discrete Gaussian mechanism (Kairouz, Liu and Steinke 2021, theorem 1): numbers are cut towards zero to whole steps,
    which makes nothing longer, and get discrete Gaussian noise. With at least ``FINEST`` steps of it a sum of ``n`` costs what normal
    noise of ``sqrt(n)`` times a client's deviation does. Windows, losses and whatever else has no noise stay on the client.

    Raises
    ------
    ProtocolError
        If no sum of so many clients may be opened, or the noise is too fine for the steps.
    """

    noise: Noise = field(kw_only=True)

    def __post_init__(self) -> None:
        if self.noise.least > self.clients:
            raise ProtocolError(
                f"secure.noise: it takes {self.noise.least} clients to hide each, and {self.clients} are asked; lower --min-updates, or "
                "ask more"
            )
        if self.noise.deviation < FINEST * self.step:
            raise ProtocolError(
                f"secure.noise: a deviation of {self.noise.deviation:.3g} is less than {FINEST:g} steps of {self.step:.3g}, too fine to be "
                "added in words; raise noise_multiplier"
            )
        if self.counts:
            raise ProtocolError(f"secure.noise: {self.counts[0][0]} is counted without noise; leave one of them out")

    @classmethod
    def of(cls, clients: int, windows: int, noise: Noise) -> Noised:
        """Return the encoding whose steps are as fine as a sum of so many clients lets them be."""
        return cls(clients, noise.bound + TAIL * noise.deviation / math.sqrt(clients), windows, noise=noise)

    def words(self, size: int) -> int:
        """Return how many words a model of this size takes: two more than it has weights."""
        return size + 2

    def encode(
        self, change: Weights, samples: int, metrics: Mapping[str, float], counts: Mapping[str, Sequence[float]] | None = None
    ) -> Words:
        """Return a client's words, shape (words(size),), with noise that was drawn for them; each call draws anew.

        Raises
        ------
        EncodingError
            If the change is not finite.
        """
        length = float(np.linalg.norm(change.astype(np.float64)))
        if not math.isfinite(length):
            raise EncodingError("secure sum: a change that is not finite cannot be encoded")
        noise = self.noise
        kept = change * np.float64(min(1.0, noise.clip / length) if length else 1.0)
        beside = noise.within * (0.5 if length <= noise.clip else -0.5), noise.relative * (relative(metrics) - 1)
        units = np.trunc(np.append(kept, beside) * (CUT / self.step)).astype(np.int64)
        units += discrete_gaussian(noise.deviation / self.step, len(units), np.random.default_rng())
        return units.astype(np.uint32)

    def decode(self, total: Words) -> tuple[NDArray[np.float64], dict[str, float], dict[str, tuple[float, ...]]]:
        """Return the sum of changes, shape (size,), and ``within`` and ``relative``, summed over clients; all of it with noise."""
        values = total.view(np.int32).astype(np.float64) * self.step
        scales = {"within": self.noise.within, "relative": self.noise.relative}
        return values[:-2], {name: float(v) / by for (name, by), v in zip(scales.items(), values[-2:], strict=True) if by}, {}


def discrete_gaussian(deviation: float, size: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return whole numbers, shape (size,), each ``k`` with a probability in proportion to ``exp(-k^2 / (2 deviation^2))``.

    Canonne, Kamath and Steinke 2020, algorithm 3, with numpy's generator and float64: discrete Laplace numbers, of which some are taken.
    """
    scale, found = math.floor(deviation) + 1, np.empty(0, np.int64)
    while len(found) < size:
        one, other = random.geometric(-math.expm1(-1 / scale), (2, 2 * (size - len(found)) + 16))
        laplace = one - other
        likely = np.exp(-((np.abs(laplace) - deviation**2 / scale) ** 2) / (2 * deviation**2))
        found = np.concatenate([found, laplace[random.random(len(laplace)) < likely]])
    return found[:size]


def listed(noise: Noise | None) -> list[list[float]]:
    """Return what is signed of a round's noise: nothing where there is none."""
    return [] if noise is None else [list(astuple(noise))]
