"""Where text comes from and what is done to it."""
