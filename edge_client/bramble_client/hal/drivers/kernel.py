"""Sensors that the kernel reads: whatever has a driver in its subsystems ``iio`` or ``hwmon``, such as DS18B20, DHT11, HX711 or INA2xx.

The kernel's driver talks to the chip, and these two read what it shows under ``/sys/bus/iio/devices`` and ``/sys/class/hwmon``
(linux, Documentation/ABI/testing/sysfs-bus-iio and sysfs-class-hwmon). Nothing here can check what a chip says: after a brown-out
many of the kernel's drivers pass on zeros or power-on values, of which only the 85 °C of a DS18B20 are known here. So these
readings are *unchecked*.
"""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.channels import quantity
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import Driver, Measurement
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import (
    BusBusy,
    BusError,
    BusTimeout,
    ConfigError,
    NoAcknowledge,
    NotReady,
    PermissionDenied,
    SensorError,
    SettingsLost,
    ShortRead,
)

SYSFS = "/sys"
USUAL = (-60.0, 150.0)
RANGES = {
    "w1_slave_temp": (-55.0, 125.0),  # DS18B20 and its siblings
    "dht11": (-40.0, 80.0),  # which the kernel calls a DHT22, too
    **dict.fromkeys(("max31855", "max31856", "max6675", "mcp9600"), (-270.0, 1800.0)),  # thermocouples
}
"""What the sensors behind a driver of the kernel's can feel, in °C."""
POWER_ON = {"w1_slave_temp": 85.0}
"""What they show before their first conversion, in °C (data sheet DS18B20, table 1)."""
NEAR_C = 5.0


@dataclass(frozen=True)
class Kind:
    """What one kind of file means: a pattern of its name, the channel, and what its number is multiplied by, by the channel's unit."""

    pattern: str
    channel: str
    factors: Mapping[str, float]

    def match(self, stem: str) -> tuple[str, float] | None:
        """Return the channel of a file and its factor, if it is of this kind and the channel table has the channel in a known unit."""
        found = re.fullmatch(self.pattern, stem)
        if found is None:
            return None
        channel = found.expand(self.channel)
        try:
            return channel, self.factors[quantity(channel).unit]
        except KeyError:
            return None


class KernelSensor(Driver):
    """One device of a subsystem, found by what the kernel calls it; ``configured`` makes the class of one."""

    on_bus = False
    addresses = ()
    channels = ()
    certain = False
    fastest = 0.01
    options = (
        Option("device", "what the kernel calls it, or where it sits, see `bramble sensors scan`", kind=str, required=True),
        Option("inputs", "from which file each channel is read, such as temp1; all that are known without it", kind=dict),
        Option("sysfs", "where the kernel's tree is", SYSFS, str),
    )
    folder: ClassVar[str]
    """The subsystem's folder below ``/sys``."""
    kinds: ClassVar[tuple[Kind, ...]]
    device: ClassVar[str] = ""
    inputs: ClassVar[Mapping[str, str]] = {}
    sysfs: ClassVar[str] = SYSFS

    @classmethod
    def configured(cls, options: Mapping[str, Any]) -> type[Driver]:
        """Return the class for one device. Without ``inputs`` it has to be there now, to show what it measures."""
        device, sysfs = options["device"], options.get("sysfs", SYSFS)
        inputs = options.get("inputs") or next((found.inputs for found in cls.find(sysfs) if found.is_called(device)), {})
        if not inputs:
            raise ConfigError(
                f"{cls.name} has no device {device!r} that measures anything known now; run `bramble sensors scan`, or say what it will "
                'measure, such as inputs = { temperature = "temp1" }'
            )
        for channel, stem in inputs.items():
            # "b.voltage" is a second voltage
            if (found := cls._meaning(stem)) is None or found[0] != channel.rpartition(".")[2]:
                raise ConfigError(
                    f"{device}: no file {stem!r} of {cls.name} can be read as {channel!r}; run `bramble sensors scan` to see which can"
                )
        kernel = next((found.kernel for found in cls.find(sysfs) if found.is_called(device)), device)
        values = {
            "chip": f"{device} ({cls.name}, unchecked)",
            "channels": tuple(inputs),
            "ranges": {key: RANGES.get(kernel, USUAL) for key in inputs if key.rpartition(".")[2] == "temperature"},
            **{"device": device, "inputs": inputs, "sysfs": sysfs},
        }
        return type(cls.__name__, (cls,), values)

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None, **options: Any) -> None:
        super().__init__(bus, 0, clock)
        self._found: Device | None = None
        self._last: Mapping[str, float] = {}
        self._factors = {channel: found[1] for channel, stem in self.inputs.items() if (found := self._meaning(stem))}

    @classmethod
    def usual_name(cls) -> str:
        """Return what a person called the device, in letters that a name may have."""
        name = re.sub("[^a-z0-9_]+", "_", cls.device.lower()).strip("_")
        return (name if re.match("[a-z]", name) else f"{cls.name}_{name}".strip("_"))[:31]

    @classmethod
    def find(cls, sysfs: str = SYSFS) -> list[Device]:
        """Return the subsystem's devices that measure something known, in the kernel's order."""
        folders = sorted(Path(sysfs, cls.folder).glob("*"), key=_natural)
        return [device for folder in folders if (device := _device(cls, folder)) is not None]

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the device is there."""
        return any(found.is_called(cls.device) for found in cls.find(cls.sysfs))

    def setup(self) -> None:
        """Find the device: its number changes when it goes and comes back."""
        there = [found for found in self.find(self.sysfs) if found.is_called(self.device)]
        if not there:
            raise NoAcknowledge(f"{self} is not there; check its wiring, and that its kernel module or dtoverlay is loaded")
        if len(there) > 1:
            places = ", ".join(found.place for found in there)
            raise SensorError(f"{self}: several devices are called so; name one by where it sits: {places}")
        self._found = there[0]

    def read(self) -> Measurement:
        """Read each channel once; the kernel's driver measures meanwhile."""
        found = self._found
        if found is None or (_text(found.folder / "name"), _place(found.folder)) != (found.kernel, found.place):
            # Another device may have its number by now
            raise NoAcknowledge(f"{self} is gone; check its wiring")
        values = {channel: self._value(found.folder, stem) * self._factors[channel] for channel, stem in self.inputs.items()}
        self._doubt_power_on(POWER_ON.get(found.kernel), values)
        self._last = values
        return Measurement(self.clock.monotonic(), values)

    def _doubt_power_on(self, usual: float | None, values: Mapping[str, float]) -> None:
        """Refuse what a chip shows before its first conversion, unless it has been near that before."""
        for channel, value in values.items():
            if value == usual and abs(self._last.get(channel, math.inf) - value) > NEAR_C:
                raise SettingsLost(f"{self} shows {value:g} °C, as after a brown-out; check its power supply and its pull-up resistor")

    @classmethod
    def _meaning(cls, stem: str) -> tuple[str, float] | None:
        return next((found for kind in cls.kinds if (found := kind.match(stem))), None)

    def _value(self, folder: Path, stem: str) -> float:
        raise NotImplementedError

    def _number(self, path: Path) -> float:
        text = ""
        try:
            text = path.read_text().strip()
            value = float(text.split()[0])
        except OSError as cause:
            raise self._failure(cause, path.name) from cause
        except (ValueError, IndexError) as cause:
            raise ShortRead(f"{self}: {path.name} says {text[:40]!r}, which is no number; check its wiring and power") from cause
        if not math.isfinite(value):
            raise ShortRead(f"{self}: {path.name} says {text[:40]!r}, which is no number; check its wiring and power")
        return value

    def _failure(self, cause: OSError, name: str) -> SensorError:
        match cause.errno:
            case errno.ENODEV | errno.ENXIO | errno.ENOENT | errno.EREMOTEIO:
                return NoAcknowledge(f"{self} does not answer the kernel ({name}: {cause.strerror}); check its wiring and power")
            case errno.EIO | errno.ETIMEDOUT | errno.EBADMSG | errno.EPROTO:
                return BusTimeout(
                    f"{self}: the kernel got no valid answer ({name}: {cause.strerror}); check its wiring and its pull-up resistor"
                )
            case errno.EAGAIN | errno.ENODATA:
                return NotReady(f"{self} has not measured yet ({name}: {cause.strerror})")
            case errno.EBUSY:
                return BusBusy(f"{self} is in use by another program ({name}: {cause.strerror}); end that")
            case errno.EACCES | errno.EPERM:
                return PermissionDenied(f"{self}: {name} may not be read by this user; see `ls -l` of its folder")
        return BusError(f"{self}: {name} cannot be read ({cause.strerror or cause}); see the kernel's log (dmesg)")

    def __str__(self) -> str:
        return f"{self.device} in {self.name}"


@dataclass(frozen=True)
class Device:
    """What the kernel shows of one device.

    Parameters
    ----------
    kernel
        What its driver calls it: the file ``name``.
    place
        What stays when numbers change: its serial number, address or node in the device tree.
    inputs
        Which file each channel is read from: the first of a kind.
    further
        Files that are of a kind that it has already.
    """

    folder: Path
    kernel: str
    place: str
    label: str
    inputs: Mapping[str, str]
    further: tuple[str, ...]

    def is_called(self, name: str) -> bool:
        """Say whether a person may call it so."""
        return bool(name) and name in (self.place, self.kernel, self.label, self.folder.name)

    @property
    def outside(self) -> bool:
        """Whether it measures something else than the machine itself."""
        return not (self.kernel in MACHINES or self.kernel.endswith("_thermal"))


MACHINES = {
    "rp1_adc", "rpi_volt", "nvme", "drivetemp", "acpitz", "coretemp", "k10temp", "iwlwifi_1", "pwmfan", "BAT0",
}  # fmt: skip
"""What computers have inside; nobody's sensors."""


class Iio(KernelSensor):
    """A device of the industrial I/O subsystem: ``(raw + offset) * scale``, or what the kernel has worked out already."""

    name, chip, folder = "iio", "any that the kernel reads (iio, unchecked)", "bus/iio/devices"
    kinds = (
        Kind(r"in_temp\d*(_\w+)?", "temperature", {"°C": 1e-3}),
        Kind(r"in_humidityrelative\d*", "humidity", {"%": 1e-3}),
        Kind(r"in_pressure\d*", "pressure", {"hPa": 10.0}),  # from kPa
        Kind(r"in_concentration\d*_co2", "carbon_dioxide", {"ppm": 1e4}),  # from per cent
        Kind(r"in_illuminance\d*", "illuminance", {"lx": 1.0}),
        Kind(r"in_resistance\d*", "gas_resistance", {"Ω": 1.0}),
        Kind(r"in_distance\d*", "distance", {"m": 1.0, "cm": 100.0, "mm": 1000.0}),
        Kind(r"in_voltage\d*(-voltage\d+)?", "voltage", {"V": 1e-3}),
        Kind(r"in_current\d*", "current", {"A": 1e-3}),
        Kind(r"in_power\d*", "power", {"W": 1e-3}),
        Kind(r"in_accel_([xyz])", r"acceleration_\1", {"m/s²": 1.0}),
        Kind(r"in_anglvel_([xyz])", r"rotation_\1", {"°/s": 180 / math.pi}),
    )

    def _value(self, folder: Path, stem: str) -> float:
        worked_out = folder / f"{stem}_input"
        if worked_out.exists():
            return self._number(worked_out)
        raw = self._number(folder / f"{stem}_raw")
        return (raw + self._shared(folder, stem, "offset", 0.0)) * self._shared(folder, stem, "scale", 1.0)

    def _shared(self, folder: Path, stem: str, what: str, default: float) -> float:
        """Return a file's scale or offset: its own, or the one of all files of its type."""
        for owner in dict.fromkeys((stem, re.sub(r"\d+", "", stem), re.sub(r"(in_[a-z]+).*", r"\1", stem), "in")):
            if (path := folder / f"{owner}_{what}").exists():
                return self._number(path)
        return default


class Hwmon(KernelSensor):
    """A device of the hardware monitoring subsystem, whose files have fixed units."""

    name, chip, folder = "hwmon", "any that the kernel reads (hwmon, unchecked)", "class/hwmon"
    kinds = (
        Kind(r"temp\d+", "temperature", {"°C": 1e-3}),
        Kind(r"humidity\d+", "humidity", {"%": 1e-3}),
        Kind(r"in\d+", "voltage", {"V": 1e-3}),
        Kind(r"curr\d+", "current", {"A": 1e-3}),
        Kind(r"power\d+", "power", {"W": 1e-6}),
    )

    def _value(self, folder: Path, stem: str) -> float:
        fault = folder / f"{stem}_fault"
        if fault.exists() and self._number(fault):
            raise NotReady(f"{self}: the kernel reports a fault at {stem}; check the wires of what it measures with")
        return self._number(folder / f"{stem}_input")


SUBSYSTEMS: tuple[type[KernelSensor], ...] = (Iio, Hwmon)


def _device(kind: type[KernelSensor], folder: Path) -> Device | None:
    """Return what a folder shows, or None if that is no device that measures anything known."""
    kernel = _text(folder / "name")
    try:
        names = sorted((path.name for path in folder.iterdir()), key=_natural)
    except OSError:
        return None
    inputs: dict[str, str] = {}
    further: list[str] = []
    for stem in _stems(names):
        meaning = kind._meaning(stem)
        if meaning is None:
            continue
        # Of an INA2xx's two voltages, the first is that across its shunt
        if meaning[0] in inputs and not (kernel.startswith("ina2") and stem in ("in1", "in_voltage1")):
            further.append(stem)
            continue
        further += [inputs[meaning[0]]] if meaning[0] in inputs else []
        inputs[meaning[0]] = stem
    if not inputs:
        return None
    return Device(folder, kernel, _place(folder), _text(folder / "label"), inputs, tuple(further))


def _stems(names: list[str]) -> Iterator[str]:
    found = (re.fullmatch(r"((?:in_)?[a-z]+[\w-]*)_(?:input|raw)", name) for name in names)
    yield from dict.fromkeys(match[1] for match in found if match)


def _place(folder: Path) -> str:
    """Return the name of the device that a subsystem's folder belongs to."""
    link = folder / "device"
    if link.is_symlink() or link.exists():
        return link.resolve().name
    parent = folder.resolve().parent
    return folder.name if parent == folder.parent.resolve() else parent.name


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _natural(item: Path | str) -> list[tuple[int, str]]:
    """Sort hwmon10 behind hwmon9."""
    name = item.name if isinstance(item, Path) else item
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
