"""What runs on a Raspberry Pi: sensors, local store, training on the device, and the link to the server."""
