"""Beyond the Gram matrix: style losses, nearest neighbors, measures (chapters 22 to 25)."""
