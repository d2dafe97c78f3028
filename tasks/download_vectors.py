"""Fetch word vectors and keep the most frequent words."""

from pathlib import Path
from tempfile import TemporaryDirectory

from confidistill.augmentation.vectors import convert
from confidistill.sources.fetch import fetch
from tasks.entry import stage
from tasks.params import Params


@stage
def main(params: Params) -> None:
    vectors = params.vectors
    with TemporaryDirectory() as folder:
        source = fetch(params.sources[vectors.source], Path(folder))
        convert(source, Path("data/vectors"), member=vectors.member, limit=vectors.limit)


if __name__ == "__main__":
    main()
