"""Which of the processes that train together this one is."""

import os


def is_writer() -> bool:
    """Whether this process writes outputs: the first of those that torchrun started, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0
