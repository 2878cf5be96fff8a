"""What can go wrong between a driver and its chip. Every message says what a person can do about it."""

from __future__ import annotations

from bramble_protocol.errors import BrambleError


class SensorError(BrambleError):
    """Base of every error that has to do with sensors."""

    transient = False
    """Whether the same request may well succeed a moment later."""


class BusError(SensorError):
    """The bus did not carry out a transfer."""


class NoAcknowledge(BusError):
    """Nothing answered at the address (errno 121, 19 or 6: kernels and adapters differ)."""

    transient = True


class BusTimeout(BusError):
    """The transfer did not end in time (errno 110, or 5 on a Pi)."""

    transient = True


class ArbitrationLost(BusError):
    """Another master, or a line held low, won the bus (errno 11)."""

    transient = True


class ShortRead(BusError):
    """Fewer bytes came than were asked for."""

    transient = True


class BusBusy(BusError):
    """A kernel driver owns the address, or another process holds the bus (errno 16)."""


class PermissionDenied(BusError):
    """The user may not open the bus (errno 13 or 1)."""


class NoSuchBus(BusError):
    """The bus does not exist (errno 2)."""


class UnsupportedTransfer(BusError):
    """The adapter did not carry out this kind of transfer (errno 95): some never do, some do the next time."""

    transient = True


class BusClosed(BusError):
    """The bus was closed before the transfer."""


class ChecksumError(SensorError):
    """The bytes do not match the check sum that came with them."""

    transient = True


class WrongChip(SensorError):
    """The chip at the address is another one than the driver is for."""


class SettingsLost(SensorError):
    """The chip shows power-on values where the driver had written settings: it was without power for a moment."""

    transient = True


class NotReady(SensorError):
    """The chip did not finish a conversion in the time that its datasheet allows."""

    transient = True


class UnsteadyRead(SensorError):
    """Registers that must hold still read differently twice: the bytes were damaged on the way."""

    transient = True


class Overrun(SensorError):
    """Conversions were lost because nobody fetched them in time."""

    transient = True


class Unheard(SensorError):
    """What says the values has said none that can be believed: none for too long, no number, or a leap that nothing confirms."""


class NothingYet(Unheard):
    """What says the values by itself, when it likes, has said nothing since it is listened to."""


class DriverFailure(SensorError):
    """A driver, perhaps a third party's, made a mistake of its own."""


class UnknownSensor(SensorError):
    """No driver has this name."""


class ChannelRefused(SensorError):
    """A channel that a package brings along cannot be had; the text says why."""


class ConfigError(SensorError):
    """The sensor configuration is wrong; the text names the file, the line and the key."""

    sensor: str | None = None
    """Name of the sensor that is described wrongly, where it has one."""


class RecordingError(SensorError):
    """A recording is malformed; the text names the line and the column."""


class FaultScriptError(SensorError):
    """A script of faults is malformed; the text names the entry and the key."""
