"""Bosch BME280: temperature, humidity and pressure.

Source: Bosch Sensortec, BME280 data sheet BST-BME280-DS002. Everything but humidity is as in the BMP280.
"""

from __future__ import annotations

from bramble_client.hal.drivers.base import steady, within
from bramble_client.hal.drivers.bmp280 import BMP280, BOSCH, ID, SKIPPED, Calibration
from bramble_client.hal.drivers.identity import Identity
from bramble_client.hal.registers import Register

# Section 5.3, memory map
CTRL_HUM = Register(0xF2)
CALIBRATION, CALIBRATION_SIZE = 0x88, 26  # dig_T1 to dig_P9, a reserved byte, dig_H1
CALIBRATION_H, CALIBRATION_H_SIZE = 0xE1, 7  # dig_H2 to dig_H6
HUMIDITY = Register(0xFD, 2)
SKIPPED_HUMIDITY = 0x8000
HUMIDITY_LIMITS = 0, 0xFFFF


def humidity_calibration(first: bytes, second: bytes) -> tuple[int, ...]:
    """Return dig_H1 to dig_H6 (section 4.2.2, table 16) from the two calibration blocks.

    dig_H4 and dig_H5 are signed 12-bit numbers that share the byte 0xE5; dig_H1 and dig_H3 are unsigned.
    """
    shared = second[4]
    h4 = int.from_bytes((second[3] << 4 | shared & 0x0F).to_bytes(2, "big"), "big")
    h5 = second[5] << 4 | shared >> 4
    return (
        first[25],
        int.from_bytes(second[0:2], "little", signed=True),
        second[2],
        h4 - 4096 if h4 & 0x800 else h4,
        h5 - 4096 if h5 & 0x800 else h5,
        int.from_bytes(second[6:7], "little", signed=True),
    )


def relative_humidity(raw: int, fine: int, h: tuple[int, ...]) -> float:
    """Return % from a 16-bit reading and t_fine: the data sheet's 32-bit integer formula (section 4.2.3), whose result is Q22.10."""
    h1, h2, h3, h4, h5, h6 = h
    x = fine - 76800
    gain = ((x * h6 >> 10) * ((x * h3 >> 11) + 32768) >> 10) + 2097152
    v = ((raw << 14) - (h4 << 20) - h5 * x + 16384 >> 15) * (gain * h2 + 8192 >> 14)
    v -= ((v >> 15) * (v >> 15) >> 7) * h1 >> 4
    return (min(max(v, 0), 419430400) >> 12) / 1024


class BME280(BMP280):
    """One measurement a call, in forced mode with oversampling of 1: section 3.5.1, weather monitoring."""

    name = "bme280"
    chip = "BME280"
    channels = ("temperature", "humidity", "pressure")
    identity = Identity(ID, {0x60: "BME280"}, BOSCH)  # section 5.4.1
    conversion_s = 0.0093  # section 9.1, maximum for oversampling of 1 each
    skipped = (SKIPPED, SKIPPED, SKIPPED_HUMIDITY)
    _first, _size = 0xF2, 13  # ctrl_hum to hum_lsb

    def _read_calibration(self) -> None:
        first = steady(lambda: self._chip.block(CALIBRATION, CALIBRATION_SIZE), self)
        second = steady(lambda: self._chip.block(CALIBRATION_H, CALIBRATION_H_SIZE), self)
        self._calibration = Calibration.parse(first)
        self._humidity = humidity_calibration(first, second)

    def _write_settings(self) -> None:
        # Section 5.4.3: ctrl_hum takes effect with the next write of ctrl_meas, which every measurement begins with
        self._chip.write(CTRL_HUM, 1)
        super()._write_settings()

    def _settings_held(self, block: bytes) -> bool:
        return block[0] == 1 and super()._settings_held(block)

    def _raw(self, block: bytes) -> tuple[int, ...]:
        return *super()._raw(block), HUMIDITY.within(block, self._first)

    def _compensated(self, raw: tuple[int, ...], fine: int) -> dict[str, float]:
        values = super()._compensated(raw, fine)
        humidity = within(raw[2], *HUMIDITY_LIMITS, relative_humidity(raw[2], fine, self._humidity))
        return {"temperature": values["temperature"], "humidity": humidity, "pressure": values["pressure"]}
