"""Teacher, student, layer map, losses, training."""

from confidistill.progress import quieten_transformers

quieten_transformers()
