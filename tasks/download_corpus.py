"""Fetch the text of general distillation, if there is any."""

from pathlib import Path

from tasks.entry import stage
from tasks.fetching import fetch_named
from tasks.params import Params


@stage
def main(params: Params) -> None:
    source, files = (params.corpus.source, params.corpus.files) if params.corpus else (None, None)
    fetch_named(params, source, Path("data/corpus"), key="corpus", files=files)


if __name__ == "__main__":
    main()
