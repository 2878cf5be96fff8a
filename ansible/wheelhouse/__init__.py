"""The wheels that a release is made of."""
