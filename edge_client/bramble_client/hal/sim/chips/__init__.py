"""Simulated chips: one file a chip, at register level, written from its data sheet and not from the driver."""
