"""Large, long and many: tiles, checkpoints, batches, frames (chapters 30 and 31)."""
