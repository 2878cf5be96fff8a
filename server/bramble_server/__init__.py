"""The central server: asks clients to train, averages what they return, keeps the result, serves it over HTTP."""
