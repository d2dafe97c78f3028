"""The property: pairwise confidence difference, its spread sigma, calibration, bounds, verdict."""
