"""Differential privacy: what noise a budget takes, and how much of it rounds have spent."""
