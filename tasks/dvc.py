"""What everyone who runs DVC here needs: its repository, its errors as ours, this Python for its stages."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from confidistill.errors import UserError

if TYPE_CHECKING:
    from dvc.repo import Repo

# What DVC says to a person at a prompt.
CHATTER = ("To track the changes", "\tgit add", "To enable auto staging", "\tdvc config", "Use `dvc push`")


def search_path() -> str:
    """PATH with this Python first: the stages' `python` is this one, whether or not its environment is activated."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@contextmanager
def repository(folder: Path = Path(), *, wait_for_lock: bool = True) -> Iterator["Repo"]:
    """The DVC repository of a folder.

    Raises:
        UserError: it is none, or DVC has found a mistake in the block.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(str(folder), _wait_for_lock=wait_for_lock) as repo:
            yield repo
    except NotDvcRepoError:
        where = f"{folder.absolute()} is not a DVC repository"
        raise UserError(f"{where}: run in the root of a git clone of the project") from None
    except DvcException as error:
        raise UserError(" ".join(str(error).split())) from None
