"""A year of hourly weather at each of several stations, as ``NAME.csv.gz``; SOURCES.md says whose, and on what terms."""
