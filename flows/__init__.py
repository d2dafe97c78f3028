"""Prefect decides when and where a stage runs; DVC alone decides whether it has to."""

import os

# Read by Prefect when it is imported. A server is started for the run where no PREFECT_API_URL names one.
os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

PATIENCE = 60  # seconds without a sign of life after which a run on a work pool is taken for lost
