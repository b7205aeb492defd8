"""What you can ask of a transfer: colors, styles, regions, strength (chapters 26 to 28)."""
