"""The one room that keeps things: whatever survives a run is written here and nowhere else."""
