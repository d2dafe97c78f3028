"""Fetch the text of general distillation."""

from pathlib import Path

from confidistill.sources.fetch import fetch_folder
from tasks.entry import stage
from tasks.params import Params


@stage
def main(params: Params) -> None:
    fetch_folder(params.sources[params.corpus.source], Path("data/corpus"), files=params.corpus.files)


if __name__ == "__main__":
    main()
