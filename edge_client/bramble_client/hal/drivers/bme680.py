"""Bosch BME680: temperature, humidity, pressure, and the resistance of a gas sensor; through the package ``bme680``, if it is installed.

The compensation of this chip is long and its heater needs care; the package is kept by people who know both.
"""

from __future__ import annotations

from typing import Any

from bramble_client.hal.bus import I2CBus
from bramble_client.hal.clock import Clock
from bramble_client.hal.drivers.base import OUT_OF_RANGE, Driver, Measurement, within
from bramble_client.hal.drivers.bmp280 import BOSCH
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.drivers.options import Option
from bramble_client.hal.errors import NotReady, UnknownSensor, UnsteadyRead
from bramble_client.hal.registers import Device, Field, Register

try:
    import bme680  # type: ignore[import-untyped]
except ImportError as cause:
    raise UnknownSensor("sensor 'bme680' needs a package of its own: pip install bme680") from cause

# Data sheet BST-BME680-DS001, section 5.2, memory map
ID, CONFIG = Register(0xD0), Register(0x75)
FIELD_0 = 0x1D
CHIP_ID = 0x61
RANGE_ERROR = Field(0, 4, signed=True)
HEATER_C, HEATER_MS = 320, 150  # section 3.3.5, an example of a heater profile
POLL_S = 0.03
# What the data registers show of everything beyond (section 5.3.4); the heater's plate is measured in 16 ranges by itself
LIMITS, HUMIDITY_LIMITS, GAS_LIMITS = (0, 0xFFFF0), (0, 0xFFFF), (0, 0x3FF)
VARIANT_HIGH = 1  # a BME688, whose gas registers lie elsewhere


class BME680(Driver):
    """One measurement a call, in forced mode, with a heated gas sensor."""

    name = "bme680"
    chip = "BME680"
    addresses = (0x76, 0x77)
    channels = ("temperature", "humidity", "pressure", "gas_resistance")
    fastest = 1.0
    identity = Identity(ID, {CHIP_ID: "BME680"}, {code: name for code, name in BOSCH.items() if code != CHIP_ID})
    options = (
        Option("heater_celsius", "temperature of the gas sensor's plate, in degrees", HEATER_C, int, low=200, high=400),
        Option("heater_ms", "how long it is heated before it measures, in milliseconds", HEATER_MS, int, low=1, high=4032),
    )

    def __init__(
        self,
        bus: I2CBus,
        address: int | None = None,
        clock: Clock | None = None,
        heater_celsius: int = HEATER_C,
        heater_ms: int = HEATER_MS,
    ) -> None:
        super().__init__(bus, address, clock)
        self._heater = heater_celsius, heater_ms
        self._chip = Device(bus, self.address)
        self._transport = _Smbus(bus, self.clock)
        self._package: Any = None

    @classmethod
    def identify(cls, bus: I2CBus, address: int) -> bool:
        """Say whether the chip's id is a BME680's; its siblings sit at the same addresses with another."""
        return cls.identity.fits(bus, address)

    def setup(self) -> None:
        """Check the id; the package resets the chip and reads its calibration, twice, since nothing protects it on the way."""
        self.identity.prove(self)
        first, self._package = self._open(), self._open()
        if _calibration(first) != _calibration(self._package):
            raise UnsteadyRead(f"{self}: two reads of its calibration differ; shorten the wires or slow the bus down")
        self._package.set_gas_heater_profile(*self._heater)
        self._package.select_gas_heater_profile(0)
        self._settings = self._read_settings()

    def read(self) -> Measurement:
        """Measure once; the gas resistance is out of range while the heater has not reached its temperature.

        Raises
        ------
        SettingsLost
            If the chip was without power since ``setup``.
        NotReady
            If no measurement comes.
        UnsteadyRead
            If the bytes were damaged on the way.
        """
        self._transport.fields.clear()
        if not self._call(self._package.get_sensor_data):
            raise NotReady(f"{self} has not measured in time; take its power away for a moment")
        at = self.clock.monotonic()
        if self._read_settings() != self._settings:
            raise self._settings_lost()
        last = self._transport.fields[-1]
        if bytes(self.bus.transfer(self.address, bytes((FIELD_0,)), len(last)))[2:] != last[2:]:
            raise UnsteadyRead(f"{self}: two reads of the same registers differ; shorten the wires or slow the bus down")
        return Measurement(at, self._values(last))

    def _values(self, field: bytes) -> dict[str, float]:
        """Return what the package made of the data registers (section 5.3.4), without what follows from a code at its limit."""
        pressure, temperature, humidity = (int.from_bytes(field[i : i + 3], "big") for i in (2, 5, 8))
        gas = int.from_bytes(field[15:17] if self._package._variant == VARIANT_HIGH else field[13:15], "big") >> 6
        data = self._package.data
        if not LIMITS[0] < temperature >> 4 < LIMITS[1]:  # without the temperature nothing else can be compensated
            return dict.fromkeys(self.channels, OUT_OF_RANGE)
        return {
            "temperature": float(data.temperature),
            "humidity": within(humidity >> 8, *HUMIDITY_LIMITS, float(data.humidity)),
            "pressure": within(pressure >> 4, *LIMITS, float(data.pressure)),
            "gas_resistance": within(gas, *GAS_LIMITS, float(data.gas_resistance)) if data.heat_stable else OUT_OF_RANGE,
        }

    def _open(self) -> Any:
        package = self._call(lambda: bme680.BME680(self.address, self._transport))
        # section 3.4.1: range_switching_error is a signed number of four bits; the package (2.0.0) takes it for an unsigned one
        calibration = package.calibration_data
        calibration.range_sw_err = RANGE_ERROR.get(calibration.range_sw_err)
        return package

    def _call(self, action: Any) -> Any:
        """Call the package. The bus's errors pass through it; its own, such as those of damaged bytes, become ours."""
        try:
            return action()
        except (RuntimeError, ArithmeticError, IndexError, TypeError) as cause:
            raise NotReady(f"{self} cannot be used: {cause}") from cause

    def _read_settings(self) -> bytes:
        """Return ctrl_hum, oversampling and filter: what a reset takes away."""
        block = bytearray(self._chip.block(0x72, 4))
        block[1] = 0  # status
        block[2] &= ~3  # mode
        return bytes(block)


def _calibration(package: Any) -> dict[str, int]:
    """Return the calibration that the package read, without what it computed since."""
    return {key: value for key, value in vars(package.calibration_data).items() if key != "t_fine"}


class _Smbus:
    """What the package expects of a bus, over ours."""

    def __init__(self, bus: I2CBus, clock: Clock) -> None:
        self._bus, self._clock = bus, clock
        self.fields: list[bytes] = []

    def read_byte_data(self, address: int, register: int) -> int:
        if register == FIELD_0:
            self._clock.sleep(POLL_S)  # the package waits by the wall clock, drivers by their own
        return self._bus.transfer(address, bytes((register,)), 1)[0]

    def read_i2c_block_data(self, address: int, register: int, length: int) -> list[int]:
        data = self._bus.transfer(address, bytes((register,)), length)
        if register == FIELD_0:
            self.fields.append(data)
        return list(data)

    def write_byte_data(self, address: int, register: int, value: int) -> None:
        self._bus.transfer(address, bytes((register, int(value) & 0xFF)))
