"""Fetch the model that teachers start from, and the masked LM of the augmentation."""

from pathlib import Path

from confidistill.files import atomic_folder
from confidistill.sources.fetch import fetch_folder
from tasks.base import FETCHED, check_fit, read_base
from tasks.entry import stage
from tasks.params import Params


@stage
def main(params: Params) -> None:
    fetch_model(params, params.models.base, FETCHED, key="models.base")
    check_fit(params, read_base(FETCHED))  # before a teacher is trained that no student can learn from
    fetch_model(params, params.models.mlm, Path("models/mlm"), key="models.mlm")


def fetch_model(params: Params, source: str | None, folder: Path, *, key: str) -> None:
    """A model's files into `folder`; where params.yaml names none under `key`, a note, since DVC expects an output."""
    if source:
        fetch_folder(params.sources[source], folder)
    else:
        with atomic_folder(folder) as empty:
            (empty / "NONE").write_text(f"{key} is null\n")


if __name__ == "__main__":
    main()
