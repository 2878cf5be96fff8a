"""The laptop's side of the HAL: a bus, chips at register level, the world that they measure, and everything that can go wrong."""
