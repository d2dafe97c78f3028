"""Teachers that are given, not fine-tuned here: a classifier that was, or a table of probabilities."""
