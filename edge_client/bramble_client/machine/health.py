"""What a client can say of the machine it runs on, from files that cost nothing to read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
PLATFORM, HWMON = Path("/sys/bus/platform/devices"), Path("/sys/class/hwmon")
THROTTLED = "*firmware/get_throttled"
"""The firmware's node is called ``soc:firmware`` up to a Pi 4, and ``soc@107c000000:firmware`` or alike on a Pi 5."""
UNDER_VOLTAGE = "in0_lcrit_alarm"
"""Of the hwmon device ``rpi_volt``: 1 while the supply is too weak (linux, drivers/hwmon/raspberrypi-hwmon.c)."""
MEMORY = Path("/proc/meminfo")
SUPPLIES = Path("/sys/class/power_supply")


def read(folder: Path) -> dict[str, float]:
    """Return what there is to know; what this machine does not have is left out.

    Parameters
    ----------
    folder
        The client's data folder.

    Returns
    -------
    dict
        ``health_cpu_temperature`` in °C; ``health_throttled``, the firmware's bits (0: under-voltage now, 1: frequency capped,
        2: throttled, 3: soft temperature limit; the same plus 16: since boot), of which a machine that has only ``rpi_volt`` tells
        bit 0; ``health_memory_available`` and ``health_disk_free`` in MiB; ``health_load``, the load average over a minute;
        ``health_battery``, how full the emptiest battery is, in percent.
    """
    found = {
        "health_cpu_temperature": _number(THERMAL, 10, 1e-3),
        "health_throttled": _throttled(),
        "health_memory_available": _available(),
        "health_disk_free": _free(folder),
        "health_load": _load(),
        "health_battery": _battery(),
    }
    return {name: round(value, 3) for name, value in found.items() if value is not None}


def _number(path: Path, base: int, scale: float) -> float | None:
    try:
        return int(_text(path), base) * scale
    except ValueError:
        return None


def _throttled() -> float | None:
    """Return the firmware's bits; None where nothing tells, which is not the same as that all is well."""
    for path in sorted(PLATFORM.glob(THROTTLED)):
        bits = _number(path, 16, 1.0)
        if bits is not None and bits >= 0:
            return bits
    for name in sorted(HWMON.glob("*/name")):
        if _text(name) == "rpi_volt":
            alarm = _number(name.with_name(UNDER_VOLTAGE), 10, 1.0)
            return None if alarm is None else float(alarm != 0)
    return None


def _battery() -> float | None:
    """Return the level of the machine's own batteries; one of a mouse has the scope of a device."""
    levels = [
        _number(supply / "capacity", 10, 1.0)
        for supply in sorted(SUPPLIES.glob("*"))
        if _text(supply / "type") == "Battery" and _text(supply / "scope") != "Device"
    ]
    return min((level for level in levels if level is not None and 0 <= level <= 100), default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _available() -> float | None:
    try:
        lines = MEMORY.read_text().splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(kilobytes) / 1024
    except (OSError, ValueError, StopIteration):
        return None


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:  # where /proc is hidden
        return None


def _free(folder: Path) -> float | None:
    try:
        return shutil.disk_usage(folder).free / 2**20
    except OSError:
        return None
