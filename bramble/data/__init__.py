"""Other people's recordings, and the way back; with pandas, and never on a Pi.

``formats`` knows exports by their columns and makes columns of them that a recording has, ``importing`` and ``exporting`` are the commands.
What times, units and missing readings are is left to the reader of recordings, so that an import and a replay cannot differ.
"""
