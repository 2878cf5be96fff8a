"""The kernel's tree of sensors in real files and links, laid out as Linux does; some of its files fail as a device's do."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

BME280 = {"in_temp_input": "23450", "in_pressure_input": "98.837402343", "in_humidityrelative_input": "45678"}
DHT11 = {"in_temp_input": "21000", "in_humidityrelative_input": "52000"}
DS18B20 = {"temp1_input": "-12625"}
HX711 = {"in_voltage0_raw": "-120000", "in_voltage0_scale": "0.000000298", "in_voltage1_raw": "400", "in_voltage1_scale": "0.000001192"}
INA219 = {"in0_input": "32", "in1_input": "12016", "curr1_input": "-320", "power1_input": "3840000", "shunt_resistor": "100000"}
MPU6050 = {
    **{f"in_accel_{axis}_raw": raw for axis, raw in zip("xyz", ("0", "-16384", "8192"), strict=True)},
    "in_accel_scale": "0.000598",
    **{f"in_anglvel_{axis}_raw": "100" for axis in "xyz"},
    "in_anglvel_scale": "0.001064724",
    "in_temp_raw": "-1030",
    "in_temp_offset": "12420",
    "in_temp_scale": "2.941176",
}
VL53L0X = {"in_distance_raw": "1234", "in_distance_scale": "0.001000000"}
CPU = {"temp1_input": "48312"}


class Sysfs:
    """``/sys``, in a folder of a test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("bus/iio/devices", "class/hwmon"):
            (root / folder).mkdir(parents=True)

    def hwmon(self, number: int, place: str, name: str, files: dict[str, str]) -> Path:
        """Add a device of the hardware monitoring subsystem."""
        return self._add(f"devices/{place}/hwmon/hwmon{number}", "class/hwmon", name, files, f"devices/{place}")

    def iio(self, number: int, place: str, name: str, files: dict[str, str]) -> Path:
        """Add a device of the industrial I/O subsystem."""
        return self._add(f"devices/platform/{place}/iio:device{number}", "bus/iio/devices", name, files)

    def remove(self, folder: Path) -> None:
        """Take a device away."""
        for link in (*self.root.glob("class/hwmon/*"), *self.root.glob("bus/iio/devices/*")):
            if link.resolve() == folder.resolve():
                link.unlink()
        shutil.rmtree(folder)

    def _add(self, where: str, subsystem: str, name: str, files: dict[str, str], device: str = "") -> Path:
        folder = self.root / where
        folder.mkdir(parents=True)
        for file, text in {"name": name, **files}.items():
            (folder / file).write_text(f"{text}\n")
        if device:
            (folder / "device").symlink_to(self.root / device)
        (self.root / subsystem / folder.name).symlink_to(folder)
        return folder


def fails_with_eio(path: Path) -> None:
    """Let reading a file fail as a device's that does not answer: what the kernel says of memory that is not there."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


def fails_with_enxio(path: Path) -> None:
    """Let opening a file fail as a device's that is not there any more: what the kernel says of a socket."""
    path.unlink()
    os.mknod(path, stat.S_IFSOCK | 0o600)
