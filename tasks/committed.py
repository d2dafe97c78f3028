"""What git has of a file of the current folder."""

import subprocess
from pathlib import Path


def committed(path: Path | str) -> bytes:
    """Its bytes in the last commit; none where that does not have it, or there is none."""
    return subprocess.run(["git", "show", f"HEAD:./{path}"], capture_output=True).stdout
