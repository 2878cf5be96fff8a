"""What this client's updates tell of its readings: bounded and with noise before they leave, counted, no more than its owner allows."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bramble_client.learn.pace import NotNow
from bramble_client.learn.trainer import Result
from bramble_client.machine import disk
from bramble_protocol import codecs
from bramble_protocol.accountant import Release, epsilon, noise_for
from bramble_protocol.errors import BrambleError
from bramble_protocol.kinds import Counts
from bramble_protocol.messages import ClientUpdate
from bramble_protocol.privacy import LEAST_SAMPLES

log = logging.getLogger(__name__)

FILE = "privacy.json"
TWICE = 2
"""Lengths of ``clip`` that two updates of one client are apart at most."""
ANSWERS = 64
"""Answers of which it is kept what was done to them: more than can wait to be sent."""


@dataclass(frozen=True)
class Bounds:
    """What the owner says."""

    clip: float | None = None
    """Length to which a longer update is shortened here."""
    noise: float | None = None
    """Deviation of the noise that is added to each number of an update here, over ``clip``; None: none is."""
    epsilon: float | None = None
    """What all of its updates together may tell; None: any number."""
    delta: float = 1e-5
    """The probability with which that may not hold."""


class Allowance:
    """Does to an update what its owner says, and counts what those that leave may tell, of all tasks together.

    Neighbours are here any two sets of readings that this client may have (local differential privacy): of two updates that are shortened
    to ``clip`` one is at most twice that away from the other, so a Gaussian mechanism's noise is worth half of what it is where a client
    is there or is not. In a secure sum with noise that of the others counts, too, for no sum of fewer clients is opened. Nothing gives back
    what was spent: neither a reset nor a restart.

    Parameters
    ----------
    folder
        The client's data folder.

    Raises
    ------
    BrambleError
        If what was spent before cannot be read, or not even one update would be allowed.
    """

    def __init__(self, folder: Path, own: Bounds) -> None:
        self._path, self._own = folder / FILE, own
        self._lock = threading.Lock()
        self._spent, self._answers = self._read()
        self._said = False
        if (
            own.noise is not None
            and own.epsilon is not None
            and (once := epsilon({Release(own.noise / TWICE): 1}, own.delta)) > own.epsilon
        ):
            least = math.ceil(1000 * TWICE * noise_for(own.epsilon, own.delta, 1)) / 1000
            raise BrambleError(
                f"epsilon: one update with --noise {own.noise:g} comes to {once:.3g}, and --epsilon allows {own.epsilon:g}; say --noise "
                f"{least:g} or more"
            )

    @property
    def adds_noise(self) -> bool:
        """Whether updates get noise here."""
        return self._own.noise is not None

    def check(self, update: ClientUpdate) -> None:
        """Return if the owner lets this client answer a request.

        Raises
        ------
        NotNow
            If not, with the reason.
        """
        release, own = self._release(update), self._own
        if own.noise is not None and (beside := self._beside(update)):
            raise NotNow(f"this client adds noise to its updates (--noise), and with this round's strategy or codec it would send {beside}")
        if own.epsilon is None:
            return
        if release is None:
            raise NotNow(
                f"this client's owner allows an epsilon of {own.epsilon:g} in all (--epsilon), and neither --noise here nor the round adds "
                "noise"
            )
        with self._lock:
            then = epsilon(self._after(release), own.delta)
        if then > own.epsilon:
            why = (
                f"the budget of this client is spent: the round would bring it to an epsilon of {then:.3g}, and its owner allows "
                f"{own.epsilon:g} (--epsilon)"
            )
            if not self._said:
                log.warning("%s; it takes part in no such round any more, and goes on using models", why)
            self._said = True
            raise NotNow(why)

    def noised(self, update: ClientUpdate, result: Result) -> Result:
        """Return a result whose update has the owner's noise; windows, losses, tests and counts of it stay here."""
        clip, noise, done = self._own.clip, self._own.noise, result.complete
        assert clip is not None  # as settings say
        assert noise is not None
        change = done.weights.astype(np.float64) - update.base
        length = float(np.linalg.norm(change))
        change *= min(1.0, clip / length) if length else 1.0
        change += np.random.default_rng().normal(0.0, noise * clip, len(change))
        weights = (update.base + change).astype(np.float32)
        counts: Counts | None = None if done.counts is None else {}
        return replace(result, complete=replace(done, weights=weights, samples=LEAST_SAMPLES, metrics={}, counts=counts))

    def spend(self, update: ClientUpdate) -> None:
        """Count an answer that is about to leave, on the disk, if it has noise.

        Raises
        ------
        BrambleError
            If the disk does not take it: what is not counted is not sent.
        """
        release = self._release(update)
        if release is None:
            return
        with self._lock:
            spent = self._after(release)
            about = {**self._done(update), "epsilon": round(epsilon(spent, self._own.delta), 4), "delta": self._own.delta}
            answers = {**self._answers, str(update.round): about}
            answers = dict(list(answers.items())[-ANSWERS:])
            rows = [[one.noise_multiplier, rounds] for one, rounds in spent.items()]
            try:
                other = self._path.with_suffix(".new")
                with other.open("w", encoding="utf-8") as file:
                    json.dump({"spent": rows, "answers": answers}, file)
                    file.flush()
                    os.fsync(file.fileno())
                other.replace(self._path)
            except OSError as error:
                why = disk.remedy(self._path.parent, error)
                raise BrambleError(f"{self._path} cannot be written ({why}): what is not counted is not sent") from error
            self._spent, self._answers = spent, answers

    def told(self, number: int) -> Mapping[str, float]:
        """Return what was done to the answer to a round, for the receipt; nothing where nothing was."""
        with self._lock:
            found: Mapping[str, float] = self._answers.get(str(number), {})
            return found

    def _beside(self, update: ClientUpdate) -> str | None:
        """Return what an answer would have that gets no noise."""
        if update.extras.steps or update.extras.control is not None:
            return "more than its weights"
        return "a part of its weights, by their size" if codecs.find(update.reply_encoding).partial else None

    def _release(self, update: ClientUpdate) -> Release | None:
        """Return what an answer costs; None where nothing hides it."""
        shared = update.secure.noise.multiplier if update.secure and update.secure.noise else None
        # whichever noise is worth more holds by itself; rounded downwards, so that rounds whose clip adapts are of one kind
        found = max((each for each in (self._own.noise, shared) if each is not None), default=None)
        return None if found is None else Release(float(f"{found / TWICE * (1 - 1e-6):.6g}"))

    def _done(self, update: ClientUpdate) -> dict[str, float]:
        """Return to what length an update was shortened, and the deviation of the noise that was added here to each of its numbers."""
        if self._own.noise is not None and self._own.clip is not None:
            return {"clip": self._own.clip, "noise": self._own.noise * self._own.clip}
        assert update.secure
        assert update.secure.noise
        return {"clip": update.secure.noise.clip, "noise": update.secure.noise.deviation}

    def _after(self, release: Release) -> dict[Release, int]:
        return {**self._spent, release: self._spent.get(release, 0) + 1}

    def _read(self) -> tuple[dict[Release, int], dict[str, Any]]:
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            return {Release(float(noise)): int(rounds) for noise, rounds in kept["spent"]}, dict(kept["answers"])
        except FileNotFoundError:
            return {}, {}
        except (OSError, ValueError, KeyError, TypeError, BrambleError) as error:
            raise BrambleError(
                f"{self._path} cannot be read ({type(error).__name__}), so nobody knows what is spent: bring it back, or delete it to "
                "begin a budget anew"
            ) from error
