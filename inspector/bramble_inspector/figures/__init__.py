"""Plots as plain Plotly dictionaries: data in, figure out, no server and no browser.

Lists, never numpy arrays: Plotly packs arrays in a form that the browser cannot extend. Times are epoch milliseconds.
"""
