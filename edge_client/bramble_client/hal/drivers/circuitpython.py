"""Sensors that a CircuitPython library reads, over our bus: for the chips that have no driver here.

A library such as ``adafruit_mcp9808`` wants a bus in the form of CircuitPython's ``busio.I2C``. It gets one that carries its
transfers out on ours, so that retries, locks and errors are the same, and needs neither Blinka nor a board that Blinka knows. Most
libraries check nothing: after a brown-out they pass on zeros and power-on values. So these readings are *unchecked*.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar

from bramble_client.hal.bus import FIRST_ADDRESS, LAST_ADDRESS, I2CBus
from bramble_client.hal.channels import quantity
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import NAME, Driver, Measurement
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import BusError, ConfigError, NotReady, SensorError, WrongChip

NAMES: dict[str, dict[str, tuple[str, float]]] = {
    "temperature": {"°C": ("temperature", 1.0)},
    "relative_humidity": {"%": ("humidity", 1.0)},
    "humidity": {"%": ("humidity", 1.0)},
    "pressure": {"hPa": ("pressure", 1.0)},
    "CO2": {"ppm": ("carbon_dioxide", 1.0)},
    "lux": {"lx": ("illuminance", 1.0)},
    "gas": {"Ω": ("gas_resistance", 1.0)},
    "distance": {"mm": ("distance", 10.0), "m": ("distance", 0.01), "cm": ("distance", 1.0)},
    "bus_voltage": {"V": ("voltage", 1.0)},
    "voltage": {"V": ("voltage", 1.0)},
    "current": {"A": ("current", 1e-3)},
    **{f"acceleration.{i}": {"m/s²": (f"acceleration_{axis}", 1.0)} for i, axis in enumerate("xyz")},
    **{f"gyro.{i}": {"°/s": (f"rotation_{axis}", 180 / math.pi)} for i, axis in enumerate("xyz")},
}
"""Properties that CircuitPython's design guide names, with their units: what each is here, by the unit of the channel."""
WIDE = (-270.0, 1800.0)
"""What thermometers can feel, in °C, thermocouples and infrared ones among them."""
SETTLE_S = 0.5
"""For the first conversion of a chip that has just got its power: libraries pass on what its registers hold before that."""
ADDRESS = ("address", "addr", "i2c_addr", "i2c_address", "device_address")
"""What libraries call the parameter for the chip's address."""


class CircuitPython(Driver):
    """A chip behind a library; ``configured`` makes the class of one."""

    name, chip = "circuitpython", "any with a CircuitPython library (unchecked)"
    addresses = tuple(range(FIRST_ADDRESS, LAST_ADDRESS + 1))
    channels = ()
    certain = False
    fastest = 0.01
    options = (
        Option("library", "module and class, such as adafruit_mcp9808.MCP9808", kind=str, required=True),
        Option("inputs", "from which property each channel is read, such as temperature; all that are known without it", kind=dict),
    )
    library: ClassVar[str] = ""
    inputs: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def configured(cls, options: Mapping[str, Any]) -> type[Driver]:
        """Return the class for one library."""
        library = options["library"]
        made = _load(library)
        inputs = options.get("inputs") or dict(_known(made))
        if not inputs:
            raise ConfigError(f'{library} has no property that is known; say which are read, such as inputs = {{ temperature = "temp" }}')
        for channel, prop in inputs.items():
            try:
                quantity(channel)
            except KeyError as error:
                raise ConfigError(f"{library}: {error.args[0]}") from None
            if not re.fullmatch(r"[A-Za-z_]\w*(\.\d+)?", prop):
                raise ConfigError(
                    f"{library}: {prop!r} is no property, such as 'temperature', or 'acceleration.0' for the first of several values"
                )
        usual = _parameter(made)
        first = usual.default if usual is not None and type(usual.default) is int else FIRST_ADDRESS
        values = {
            "chip": f"{made.__name__} ({library.partition('.')[0]}, unchecked)",
            "channels": tuple(inputs),
            "ranges": {key: WIDE for key in inputs if quantity(key).key == "temperature"},
            "addresses": (first, *(address for address in cls.addresses if address != first)),
            **{"library": library, "inputs": inputs},
        }
        return type(cls.__name__, (cls,), values)

    def __init__(self, bus: I2CBus, address: int | None = None, clock: Clock | None = None, **options: Any) -> None:
        super().__init__(bus, address, clock)
        self._made = _load(self.library)
        self._i2c = I2C(bus)
        self._chip: Any = None

    @classmethod
    def usual_name(cls) -> str:
        """Return the library's name, without what all of them begin with."""
        name = cls.library.partition(".")[0].removeprefix("adafruit_").lower()[:28]
        return name if re.fullmatch(NAME, name) else cls.name

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether anything answers there, if a library is chosen: no library tells what it would have found."""
        if not cls.library:
            return False
        bus.transfer(address)
        return True

    def setup(self) -> None:
        """Let the library begin anew."""
        parameter = _parameter(self._made)
        with self._calls():
            self._chip = self._made(self._i2c, **({parameter.name: self.address} if parameter is not None else {}))
        self.clock.sleep(SETTLE_S)

    def read(self) -> Measurement:
        """Read each property once."""
        with self._calls():
            properties = {prop.partition(".")[0] for prop in self.inputs.values()}
            found = {prop: getattr(self._chip, prop) for prop in sorted(properties)}
            at = self.clock.monotonic()
        return Measurement(at, {channel: self._value(found, channel, prop) for channel, prop in self.inputs.items()})

    def _value(self, found: Mapping[str, Any], channel: str, prop: str) -> float:
        name, _, index = prop.partition(".")
        value = found[name][int(index)] if index else found[name]
        if value is None:
            raise NotReady(f"{self} has no {name} yet")
        row = quantity(channel)
        known, factor = NAMES.get(prop, {}).get(row.unit, (row.key, 1.0))
        return float(value) * (factor if known == row.key else 1.0)

    @contextmanager
    def _calls(self) -> Iterator[None]:
        """Turn what a library raises into what it stands for."""
        self._i2c.error = None
        try:
            yield
        except SensorError:
            raise
        except (OSError, RuntimeError, ValueError) as cause:
            if self._i2c.error is not None:  # the library has wrapped, or lost, what the bus said
                raise self._i2c.error from cause
            if isinstance(cause, ValueError) or (isinstance(cause, RuntimeError) and self._chip is None):
                raise WrongChip(f"{self}: the library does not know what answers there ({cause}); see `bramble sensors scan`") from cause
            raise NotReady(f"{self}: the library could not read it ({cause}); check its wiring and power") from cause


class I2C:
    """CircuitPython's ``busio.I2C``, as libraries call it, on one of our buses."""

    def __init__(self, bus: I2CBus) -> None:
        self._bus = bus
        self.error: BusError | None = None
        """What the bus said last, for who wants more than an OSError."""

    def try_lock(self) -> bool:
        """Say that the bus is free: ours is shared transfer by transfer."""
        return True

    def unlock(self) -> None:
        """Do nothing."""

    def deinit(self) -> None:
        """Do nothing: whoever opened the bus closes it."""

    def scan(self) -> list[int]:
        """Return the addresses that answer."""
        return self._bus.scan()

    def writeto(self, address: int, buffer: Any, *, start: int = 0, end: int | None = None) -> None:
        """Write a part of a buffer."""
        self._transfer(address, bytes(buffer)[start:end], 0)

    def readfrom_into(self, address: int, buffer: Any, *, start: int = 0, end: int | None = None) -> None:
        """Fill a part of a buffer."""
        end = len(buffer) if end is None else end
        buffer[start:end] = self._transfer(address, b"", end - start)

    def writeto_then_readfrom(
        self,
        address: int,
        out_buffer: Any,
        in_buffer: Any,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        """Write a part of one buffer, then fill a part of another, in one transaction."""
        in_end = len(in_buffer) if in_end is None else in_end
        in_buffer[in_start:in_end] = self._transfer(address, bytes(out_buffer)[out_start:out_end], in_end - in_start)

    def __enter__(self) -> I2C:
        return self

    def __exit__(self, *_: object) -> None: ...

    def _transfer(self, address: int, write: bytes, read: int) -> bytes:
        try:
            return self._bus.transfer(address, write, read)
        except BusError as error:
            self.error = error
            number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
            raise OSError(number, str(error)) from error


def _load(library: str) -> Any:
    """Return the library's class."""
    module, _, name = library.replace(":", ".").rpartition(".")
    try:
        with _stand_ins():
            return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as cause:
        package = module.partition(".")[0].replace("adafruit_", "adafruit-circuitpython-")
        remedy = f"write it as module.Class, and get it with: pip install 'bramble-fl[circuitpython]' {package}"
        raise ConfigError(f"library {library!r} cannot be had ({cause}); {remedy}") from cause


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Offer the modules of CircuitPython that libraries name and do not need; they exist on a board, or with Blinka, which wants one."""
    contents: dict[str, dict[str, object]] = {
        "micropython": {"const": lambda value: value},
        "busio": {"I2C": I2C, "SPI": type("SPI", (), {}), "UART": type("UART", (), {})},
        "digitalio": {"DigitalInOut": type("DigitalInOut", (), {})},
    }
    missing = [name for name in contents if name not in sys.modules]
    for name in missing:
        sys.modules[name] = ModuleType(name, "stands in for CircuitPython's module while a library is imported")
        vars(sys.modules[name]).update(contents[name])
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)


def _parameter(made: Any) -> inspect.Parameter | None:
    """Return the parameter for the address, if the library has one."""
    try:
        parameters = inspect.signature(made).parameters
    except (TypeError, ValueError):
        return None
    return next((parameters[name] for name in ADDRESS if name in parameters), None)


def _known(made: Any) -> Iterator[tuple[str, str]]:
    """Yield a channel and a property for all that the design guide names; the first property of a channel counts."""
    seen = set()
    for prop, meanings in NAMES.items():
        for unit, (channel, _) in meanings.items():
            if channel in seen or not hasattr(made, prop.partition(".")[0]):
                continue
            try:
                fits = quantity(channel).unit == unit
            except KeyError:
                continue
            if fits:
                seen.add(channel)
                yield channel, prop
