"""Who needs somebody, why, and since when: the one place that says so, for the page, the command and whoever asks over HTTP. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bramble_protocol import VERSION, reasons
from bramble_protocol.health import INTERVAL, SPARING, THROTTLED, Health, resting
from bramble_server.fleet import eligibility

if TYPE_CHECKING:
    from bramble_server.fleet.registry import Client

KINDS = {
    "never_seen": "never seen",
    "gone": "gone",
    "namesake": "two with one id",
    "power": "under-voltage or heat",
    "disk": "disk",
    "memory": "out of memory",
    "sensor": "sensor gone or changed",
    "stale": "stale samples",
    "clock": "clock",
    "diverging": "diverging",
    "quarantined": "in quarantine",
    "outlier": "outlier",
    "failing": "failing rounds",
    "drifting": "drifting",
    "misfit": "channels do not fit",
    "version": "old version",
}
"""What may be wrong, in a few words; the most pressing first."""
LITTLE_MEMORY = 32.0
"""MiB that a machine has left, below which it is about to kill something."""
LITTLE_DISK = 50.0
"""MiB of room for readings, below which the disk is as good as full."""
ROUNDS = 10
"""The newest rounds that are looked at."""
FAILURES = 3
"""Rounds in a row without a client's answer, from which on it is no accident."""


@dataclass(frozen=True)
class Complaint:
    """One thing that is wrong with a client."""

    kind: str
    """One of ``KINDS``."""
    text: str
    """What it is, in words that follow the client's name."""
    since: float | None
    """Since when, as far as this server knows; seconds since 1970 UTC."""

    def to_json(self) -> dict[str, Any]:
        """Return it as HTTP shows it."""
        return {"kind": self.kind, "text": self.text, "since": self.since}


@dataclass
class Part:
    """A client's part in the newest rounds of a task."""

    round: int | None = None
    """The last committed one to which it gave an update that counted."""
    error: float | None = None
    baseline: float | None = None
    """Means as it reported them, with the last model that it tested."""
    failures: list[tuple[float, str]] = field(default_factory=list)
    """Start of each of the last rounds in a row that came to nothing for it, the oldest first, and why."""


def parts(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Part]:
    """Return each client's part in these rounds, ascending, as :func:`bramble_server.store.rounds.history` has them."""
    found: dict[str, Part] = {}
    for entry in rounds:
        if entry["state"] == "running":
            continue
        for name, told in entry.get("clients", {}).items():
            part = found.setdefault(name, Part())
            if told.get("test_error") is not None:
                part.error, part.baseline = told["test_error"], told.get("test_baseline")
            reason = told.get("reason")
            if reason is None and told.get("replied") is not None:
                part.failures.clear()
                if entry["state"] == "committed":
                    part.round = entry["round"]
            elif reason and not (reasons.too_little(reason) or reasons.not_now(reason) or reasons.spared(reason)):
                part.failures.append((entry["started"], reason))
    return found


def machine(health: Health, now: float) -> Iterator[tuple[str, str]]:
    """Yield the kind and the words of what a client's report, which came at ``now``, says is wrong with its machine and sensors."""
    told = health.throttled or 0
    said = [THROTTLED[bit] for bit in (0, 3, 2, 1) if told >> bit & 1]
    if said or (heat := eligibility.KINDS["heat"](health, 0.0)):
        yield "power", f"reports {', '.join(said)}" if said else str(heat)
    if wrong := eligibility.KINDS["disk"](health, 0.0):
        yield "disk", wrong
    elif health.disk_free is not None and health.disk_free < LITTLE_DISK:
        yield "disk", f"has {health.disk_free:.0f} MiB left on its disk"
    if health.memory_free is not None and health.memory_free < LITTLE_MEMORY:
        yield "memory", f"is out of memory: {health.memory_free:.0f} MiB are left"
    if health.sensors_gone:
        yield "sensor", f"{_sensors(health.sensors_gone)} does not answer"
    elif health.sensors_doubted:
        yield "sensor", f"{_sensors(health.sensors_doubted)} reads what is not believed: has it been changed, or moved?"
    if wrong := eligibility.KINDS["clock"](health, health.sent - now):
        yield "clock", wrong


def changes(known: Client, health: Health, said: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the kind and the words of what a client's new report says that its last did not, and of what is over.

    Parameters
    ----------
    known
        The client with its last report.
    said
        What the new one says is wrong, by kind, as :func:`machine` has it.
    """
    yield from ((kind, text) for kind, text in said.items() if kind not in known.ailing)
    yield from (("well", f"{KINDS[kind]}: over") for kind in known.ailing if kind not in said)
    old = known.health
    if health.not_now != (old and old.not_now):
        yield "resting", resting(health.not_now, health.not_before) if health.not_now else "may train again"
    if old and (health.alarms or 0) > (old.alarms or 0):
        yield "alarm", f"{health.alarms} alarms since it began"
    for task, model in health.in_use.items():
        if old and old.in_use.get(task, model) != model:
            yield "in use", f"{task}: goes by {model}"


def complaints(
    client: Client, part: Part | None, task: str, now: float, release: str, two: float | None, drift: str | None
) -> list[Complaint]:
    """Return what is wrong with a client, the most pressing first.

    Parameters
    ----------
    part
        Its part in the task's newest rounds, None if it had none.
    task
        Whose rounds and channels are meant.
    now
        Seconds since 1970 UTC.
    release
        The server's own version.
    two
        Since when two clients are known to have its id.
    drift
        How its error has risen, in words.
    """
    found = [Complaint("namesake", "has its id from a copied card: two clients have it", two)] if two else []
    if not client.connected:
        found.append(Complaint("gone", "is gone", client.since))
    else:
        found += _there(client, task, now, drift)
    found += _rounds(client, part, task)
    if _older(client.version, release) or client.protocol < VERSION:
        found.append(Complaint("version", f"runs {client.version or 'an old version'}; the server is {release}", None))
    order = list(KINDS)
    return sorted({complaint.kind: complaint for complaint in reversed(found)}.values(), key=lambda one: order.index(one.kind))


def never(names: Iterable[str]) -> dict[str, Complaint]:
    """Return what is wrong with those that have a token and never connected."""
    return dict.fromkeys(names, Complaint("never_seen", "has a token and has never connected", None))


def _there(client: Client, task: str, now: float, drift: str | None) -> Iterator[Complaint]:
    health, at = client.health, client.health_at
    if health is not None and at is not None:
        said = dict(machine(health, at))
        yield from (Complaint(kind, text, client.ailing.get(kind)) for kind, text in said.items())
        if "sensor" not in said and (sampled := _stale(health, at, now)) is not None:
            yield Complaint("stale", "has no fresh sample", sampled or client.since)
    elif now - client.since > 3 * INTERVAL:
        yield Complaint("stale", "says nothing of itself", client.since)
    if (why := client.idle) is not None and client.misfits.get(task):
        yield Complaint("misfit", why, client.since)
    if drift is not None and health is not None:
        yield Complaint("drifting", drift, health.drifted.get(task))


def _rounds(client: Client, part: Part | None, task: str) -> Iterator[Complaint]:
    failures = part.failures if part else []
    since = failures[0][0] if failures else None
    newest = failures[-1][1] if failures else client.left_out.get(task) or ""
    if shut := client.quarantined.get(task):
        yield Complaint("quarantined", f"is asked no more: it {shut}", None)
    if any(word in newest for word in ("diverged", "made the model worse")):
        yield Complaint("diverging", f"diverges: {newest}", since)
    elif "memory" in newest:
        yield Complaint("memory", f"could not train: {newest}", since)
    elif client.left_out.get(task):
        yield Complaint("outlier", f"is far from the others: {client.left_out[task]}", since)
    elif len(failures) >= FAILURES and client.connected:
        yield Complaint("failing", f"failed {len(failures)} rounds in a row: {newest}", since)


def _stale(health: Health, at: float, now: float) -> float | None:
    """Return when the newest sample of a client that owes newer ones was taken, 0 if it has none; None where all is well."""
    if health.sample_every is None:
        return None
    late = SPARING if health.not_now == "bytes" else INTERVAL
    sampled = 0.0 if health.sample_age is None else at - health.sample_age
    return sampled if now - sampled > eligibility.PATIENCE * health.sample_every + late + eligibility.SLACK else None


def _sensors(names: Sequence[str]) -> str:
    return f"sensor {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _older(version: str, release: str) -> bool:
    """Whether a version is before another; what is no version is none of ours, and not judged."""
    try:
        mine, newest = (tuple(int(part) for part in text.split("+")[0].split(".")) for text in (version, release))
    except ValueError:
        return False
    return mine < newest
