"""What an update is worth beside those of its round, and whether a round may become the model at all. No socket, clock or database.

One broken sensor, or one liar, must not cost a fleet what it has learned. So a client's word counts for no more than a few times
that of its peers' median, what lies far outside is left out by name, and a round that would make the model far worse is refused.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bramble_protocol.kinds import Counts

COHORT = 3
"""Updates from which on a median says what is usual; of two nobody can say which one is odd, so only absolute rules hold."""
SAMPLES = 3
"""Times the cohort's median that a client's samples count, however many it claims."""
REACH = 1.5
"""Times the cohort's median norm that an update moves the model; a longer one is shortened."""
FAR = 10.0
"""Times the cohort's median norm beyond which an update is left out."""
LOSS = 5.0
"""Times the cohort's median loss beyond which an update is left out, unless the model forecasts that client as well as the others."""
SKILL = 1.5
"""Times the others' median of error over baseline up to which it does."""
WORSE = 10.0
"""Times the loss before training beyond which the loss after it says that training destroyed the model."""
FLOOR = 1e-3
"""A loss below this is none, in the task's own scale."""
ABSURD = 100.0
"""Times the model's own norm that no update is long."""
EXPLODED = 10.0
"""Times the last rounds' loss or error beyond which a round is refused."""
RECENT = 5
"""Rounds that say what is usual."""


@dataclass(frozen=True)
class Report:
    """What is known of one client's update: its length ``|w - w_old|``, and what the client says."""

    client: str
    norm: float
    samples: int
    metrics: Mapping[str, float]
    counts: Counts = field(default_factory=dict)

    @property
    def loss(self) -> float | None:
        """The larger of its losses before and after training."""
        return max((self.metrics[name] for name in ("loss_before", "loss_after") if name in self.metrics), default=None)


@dataclass(frozen=True)
class Verdict:
    """How much an update counts, and if it does not, why."""

    reason: str | None
    """Why it is left out; None if it counts."""
    samples: int
    """For how many it counts."""
    reach: float
    """The part of the way from the old model to its weights that it goes, 0 to 1."""

    def pooled(self, metrics: Mapping[str, float], most: float) -> tuple[int, dict[str, float]]:
        """Return samples and metrics as they are pooled: test samples count for no more than ``most``."""
        tested = {"test_samples": min(metrics["test_samples"], most)} if "test_samples" in metrics else {}
        return self.samples, {**metrics, **tested}


class Judge:
    """Judges a server's rounds one after the other. It remembers how the rounds before went, and how well each client is forecast."""

    def __init__(self) -> None:
        self._usual: deque[Mapping[str, float]] = deque(maxlen=RECENT)
        self._skill: dict[str, tuple[float, float]] = {}

    def recall(self, committed: Iterable[Mapping[str, Any]]) -> None:
        """Begin anew with the rounds that led to the model, oldest first, as the history has them."""
        self._usual.clear()
        self._skill.clear()
        for record in committed:
            self._usual.append(record["metrics"])
            for client, part in record.get("clients", {}).items():
                self._test(client, {name: value for name, value in part.items() if value is not None})

    def verdicts(self, reports: Sequence[Report], model_norm: float, compared: bool = True) -> dict[str, Verdict]:
        """Judge a round's updates; the order in which they came does not matter.

        Parameters
        ----------
        model_norm
            Length of the model that they started from.
        compared
            Whether with each other, too, and not each by itself alone.
        """
        for report in reports:
            self._test(report.client, report.metrics)
        out = {report.client: _absurd(report, model_norm) for report in reports}
        if not compared:
            return {report.client: Verdict(out[report.client], report.samples, 1.0) for report in reports}
        peers = [report for report in reports if out[report.client] is None]
        usual = statistics.median(report.norm for report in peers) if len(peers) >= COHORT else None
        if usual is not None:
            losses = [report.loss for report in peers if report.loss is not None]
            loss = max(FLOOR, statistics.median(losses)) if len(losses) >= COHORT else None
            for report in peers:
                out[report.client] = self._odd(report, peers, usual, loss)
        most = cap([report.samples for report in peers]) if peers else 1
        return {
            report.client: Verdict(
                out[report.client],
                min(report.samples, most),
                1.0 if usual is None or report.norm <= REACH * usual else REACH * usual / report.norm,
            )
            for report in reports
        }

    def explosion(self, reports: Sequence[Report], pooled: Mapping[str, float]) -> str | None:
        """Say why a round must not become the model, naming who made it so; None if it may.

        Parameters
        ----------
        reports
            Of the updates that count.
        pooled
            Their metrics as the round's.
        """
        for name, words in (("loss_after", "loss"), ("test_error", "test error")):
            known = [metrics[name] for metrics in self._usual if name in metrics]
            usual = max(FLOOR, statistics.median(known)) if known else None
            if usual is None or name not in pooled or pooled[name] <= EXPLODED * usual:
                continue
            blamed = [
                report for report in reports if report.metrics.get(name, 0.0) > EXPLODED * usual and not self._fares(report.client, 1.0)
            ]
            if not blamed:
                continue
            if 2 * len(blamed) > len(reports):
                # Not one client's fault: the model went bad, or the world changed. The latter is believed after a few rounds.
                self._usual.append(pooled)
            names = ", ".join(sorted(report.client for report in blamed)[:3]) + (f" and {len(blamed) - 3} more" if len(blamed) > 3 else "")
            return (
                f"the {words} would be {pooled[name]:.3g}, {pooled[name] / usual:.0f} times the last rounds', because of {names}: "
                "check the sensors there, or go back with bramble model rollback"
            )
        return None

    def committed(self, pooled: Mapping[str, float]) -> None:
        """Note the metrics of a round that became the model."""
        self._usual.append(pooled)

    def _odd(self, report: Report, peers: Sequence[Report], usual: float, loss: float | None) -> str | None:
        if report.norm > FAR * usual > 0:
            return f"its update is {report.norm:.3g} long, {report.norm / usual:.0f} times the cohort's median"
        if loss is None or report.loss is None or report.loss <= LOSS * loss:
            return None
        others = [skill for peer in peers if peer is not report and (skill := self._of(peer.client)) is not None]
        if others and self._fares(report.client, statistics.median(others)):
            return None
        return f"its loss is {report.loss:.3g}, {report.loss / loss:.0f} times the cohort's median, and the model cannot forecast it"

    def _test(self, client: str, metrics: Mapping[str, float]) -> None:
        if metrics.get("test_samples") and "test_error" in metrics and "test_baseline" in metrics:
            error, baseline = self._skill.get(client, (metrics["test_error"], metrics["test_baseline"]))
            self._skill[client] = (error + metrics["test_error"]) / 2, (baseline + metrics["test_baseline"]) / 2

    def _of(self, client: str) -> float | None:
        error, baseline = self._skill.get(client, (0.0, 0.0))
        return error / baseline if baseline > 0 else None

    def _fares(self, client: str, others: float) -> bool:
        skill = self._of(client)
        return skill is not None and skill <= SKILL * others


def cap(samples: Sequence[float]) -> int:
    """Return for how many samples a client counts at most: a few times what half of the fleet has."""
    return max(1, int(SAMPLES * statistics.median_low(samples)))


def _absurd(report: Report, model_norm: float) -> str | None:
    """Judge an update by itself."""
    if report.norm > ABSURD * max(1.0, model_norm):
        return f"its update is {report.norm:.3g} long and the model itself {model_norm:.3g}"
    before, after = (report.metrics.get(name) for name in ("loss_before", "loss_after"))
    if before is not None and after is not None and after > max(WORSE * before, FLOOR):
        return f"training made the model worse there (loss {before:.3g} to {after:.3g})"
    return None
