"""Heated rooms, minute by minute: what there is to measure indoors, where a thermostat, the sun, people and windows do what they do."""

from __future__ import annotations

import csv
import random
from math import cos, exp, pi, sin
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KEYS = ("temperature", "humidity", "pressure")
MINUTE, DAY = 60.0, 86_400.0
BEGIN = 1_672_531_200.0
"""2023-01-01 UTC: a winter, in which rooms are heated."""


def readings(seed: str, minutes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a cheap sensor in a room says, one reading a minute.

    The room is one heat capacity that loses heat outwards (time constants of hours), with a radiator that lags behind a thermostat with
    hysteresis, sun through a window, people, and a window that is opened now and then; water vapour goes the same ways.

    Parameters
    ----------
    seed
        Decides the building, the habits, the weather and the sensor's noise.
    minutes
        How many.

    Returns
    -------
    times, values
        Seconds since 1970-01-01 UTC, shape (minutes,), and °C, % and hPa, shape (minutes, 3).
    """
    rng = random.Random(f"room {seed}")
    outside, swing, phase = rng.uniform(-2, 8), rng.uniform(2, 5), rng.uniform(0, 2 * pi)
    hours, heats, lag = rng.uniform(8, 30), rng.uniform(1.5, 4.0), rng.uniform(5, 15)  # hours; K an hour; minutes
    wanted, setback, band = rng.uniform(20, 22), rng.uniform(1.5, 4), rng.uniform(0.2, 0.6)
    sunny, crowd, rise, bed = rng.uniform(0, 0.8), rng.uniform(0.1, 0.5), rng.uniform(5.5, 8), rng.uniform(21, 23.5)
    noise = (rng.uniform(0.01, 0.03), rng.uniform(0.1, 0.3), 0.05)
    room, radiator, on, opened, there, vapour = wanted, 0.0, False, 0, False, 7.0  # vapour in g a m³
    values = np.empty((minutes, 3))
    for n in range(minutes):
        t = n * MINUTE
        hour = t % DAY / 3600
        out = outside + swing * cos(2 * pi * (hour - 15) / 24) + 3 * sin(2 * pi * t / (4.3 * DAY) + phase)
        awake = rise <= hour < bed
        if rng.random() < 1 / 90:
            there = awake and not there
        opened = opened - 1 if opened else rng.randint(5, 15) if awake and rng.random() < 1 / 300 else 0
        target = wanted - (0 if awake else setback)
        on = room < target - band / 2 or (on and room < target + band / 2)
        radiator += (on - radiator) / lag
        sun = sunny * max(0.0, sin(pi * (hour - 8) / 9)) * (0.6 + 0.4 * sin(2 * pi * t / 2900 + phase))
        airing = 1 / 2.5 if opened else 1 / hours
        room += ((out - room) * airing + heats * radiator + sun + crowd * there) / 60
        vapour += ((0.7 * saturation(out) - vapour) * (airing if opened else 0.4) + 1.2 * there) / 60
        level = 1005 + 9 * sin(2 * pi * t / (3.7 * DAY) + phase)
        true = room, min(100 * vapour / saturation(room), 99.0), level
        values[n] = [value + rng.gauss(0, error) for value, error in zip(true, noise, strict=True)]
    return np.asarray(BEGIN + MINUTE * np.arange(minutes), np.float64), values


def saturation(celsius: float) -> float:
    """Return how much vapour air can hold, g/m³ (Magnus' formula with the constants of Sonntag 1990)."""
    return 216.7 * 6.112 * exp(17.62 * celsius / (243.12 + celsius)) / (273.15 + celsius)


def write(path: Path, seed: str, minutes: int) -> None:
    """Write a room's readings as a recording that mock sensors replay."""
    times, values = readings(seed, minutes)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time (s)", "temperature (°C)", "humidity (%)", "pressure (hPa)"])
        writer.writerows([round(t), *(f"{value:.3f}" for value in row)] for t, row in zip(times.tolist(), values.tolist(), strict=True))
