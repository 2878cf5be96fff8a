"""Units that people and programs write beside a channel's own, and what turns them into it."""

from __future__ import annotations

import re

from bramble_client.hal.channels import quantity

_MOTION = {"g": (9.80665, 0.0), "mg": (9.80665e-3, 0.0), "m/s2": (1.0, 0.0), "m/s^2": (1.0, 0.0)}
_TURNING = {"deg/s": (1.0, 0.0), "dps": (1.0, 0.0), "rad/s": (57.29577951308232, 0.0)}
UNITS: dict[str, dict[str, tuple[float, float]]] = {
    "temperature": {
        "degc": (1.0, 0.0), "c": (1.0, 0.0), "celsius": (1.0, 0.0), "°f": (5 / 9, -160 / 9), "degf": (5 / 9, -160 / 9),
        "f": (5 / 9, -160 / 9), "fahrenheit": (5 / 9, -160 / 9), "k": (1.0, -273.15), "kelvin": (1.0, -273.15),
    },
    "humidity": {name: (1.0, 0.0) for name in ("%rh", "rh", "percent", "pct", "%r.h.", "rh%")},
    "pressure": {
        "pa": (0.01, 0.0), "kpa": (10.0, 0.0), "mbar": (1.0, 0.0), "mb": (1.0, 0.0), "millibar": (1.0, 0.0), "bar": (1000.0, 0.0),
        "inhg": (33.863886666667, 0.0), "in": (33.863886666667, 0.0), "mmhg": (1.333223874, 0.0), "torr": (1.333223684, 0.0),
        "atm": (1013.25, 0.0), "psi": (68.94757293, 0.0),
    },
    "carbon_dioxide": {"ppb": (1e-3, 0.0), "%": (1e4, 0.0)},
    "illuminance": {"lux": (1.0, 0.0), "klx": (1e3, 0.0), "klux": (1e3, 0.0), "fc": (10.76391042, 0.0)},
    "gas_resistance": {"ohm": (1.0, 0.0), "ohms": (1.0, 0.0), "kohm": (1e3, 0.0), "kω": (1e3, 0.0), "mω": (1e6, 0.0)},
    "distance": {"cm": (10.0, 0.0), "m": (1000.0, 0.0), "in": (25.4, 0.0), "inch": (25.4, 0.0), "ft": (304.8, 0.0)},
    "voltage": {"mv": (1e-3, 0.0), "volt": (1.0, 0.0), "volts": (1.0, 0.0)},
    "current": {"ma": (1e-3, 0.0), "ua": (1e-6, 0.0), "amp": (1.0, 0.0), "amps": (1.0, 0.0)},
    "power": {"mw": (1e-3, 0.0), "kw": (1e3, 0.0), "watt": (1.0, 0.0), "watts": (1.0, 0.0)},
    **{f"acceleration_{axis}": _MOTION for axis in "xyz"},
    **{f"rotation_{axis}": _TURNING for axis in "xyz"},
}  # fmt: skip
"""Units beside a channel's own, as factor and offset to it (SI brochure; NIST SP 811, appendix B.8)."""


def factors(key: str, unit: str) -> tuple[float, float] | None:
    """Return factor and offset from a unit to the channel's own."""
    return (1.0, 0.0) if folded(unit) == folded(quantity(key).unit) else UNITS.get(key, {}).get(folded(unit))


def folded(unit: str) -> str:
    """Return a unit in lower case, without what people write in several ways: the degree, the square, the micro sign."""
    return re.sub(r"\s+", "", unit.casefold()).translate(str.maketrans("º²μ", "°2u"))
