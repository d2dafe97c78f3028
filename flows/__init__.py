"""Prefect: when and where the stages of the DVC graph run."""
