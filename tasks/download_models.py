"""Fetch the model that teachers start from, and the masked LM of the augmentation."""

from pathlib import Path

from confidistill.files import atomic_folder
from confidistill.sources.fetch import fetch_folder
from tasks.entry import stage
from tasks.params import Params


@stage
def main(params: Params) -> None:
    fetch_folder(params.sources[params.models.base], Path("models/base"))
    if params.models.mlm:
        fetch_folder(params.sources[params.models.mlm], Path("models/mlm"))
    else:
        with atomic_folder(Path("models/mlm")) as empty:
            (empty / "NONE").write_text("models.mlm is null: word vectors give every candidate\n")


if __name__ == "__main__":
    main()
