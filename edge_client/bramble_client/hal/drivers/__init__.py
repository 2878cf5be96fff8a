"""The drivers: one file a chip, or a family of chips that share their registers."""
