"""Teacher, student, layer map, losses, training."""
