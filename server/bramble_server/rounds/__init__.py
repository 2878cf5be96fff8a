"""Rounds: the machine that decides, the coordinator that acts, the one writer, and what an open round gathers.

The machine is pure: it is told events and the time, and returns actions. Who a client is, the registry says; what becomes of its update,
the learning's; how anybody is spoken to, the transport's.
"""
