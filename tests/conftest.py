"""For every test."""

import signal

from hypothesis import settings

# A runner started in the background of a shell ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("everywhere", deadline=None, derandomize=True)  # the same examples, on a slow machine too
settings.load_profile("everywhere")
