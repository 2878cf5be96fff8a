"""What a client makes of its readings: windows, and runs of a graph on them in a process that may die alone.

What comes in is a graph and weights, what goes out is a result. Nobody here speaks to a server, and only the runner's process
loads a TFLite runtime.
"""
