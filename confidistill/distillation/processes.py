"""Which of the processes that train together this one is."""

import os


def is_writer() -> bool:
    """Whether this process writes outputs: the first of those that torchrun started, or the only one."""
    return own_place()[0] == 0


def own_place() -> tuple[int, int]:
    """This process's number, from 0, and how many train together."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
