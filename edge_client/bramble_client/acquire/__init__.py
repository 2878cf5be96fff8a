"""What a client measures: sensors are asked, readings are dated, kept, mirrored where that is asked for, and mended after a bad end.

Nothing here knows of models or of a server.
"""
