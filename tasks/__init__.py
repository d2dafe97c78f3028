"""One module per DVC stage, plus params.py, which reads params.yaml."""
