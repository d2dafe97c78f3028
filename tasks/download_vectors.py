"""Fetch word vectors and keep the most frequent words, if there are any."""

from pathlib import Path
from tempfile import TemporaryDirectory

from confidistill.augmentation.vectors import convert
from confidistill.sources.fetch import fetch
from tasks.entry import stage
from tasks.fetching import note_none
from tasks.params import Params


@stage
def main(params: Params) -> None:
    vectors, output = params.vectors, Path("data/vectors")
    if not vectors:
        note_none(output, "vectors")
        return
    with TemporaryDirectory() as folder:
        source = fetch(params.sources[vectors.source], Path(folder))
        convert(source, output, member=vectors.member, limit=vectors.limit)


if __name__ == "__main__":
    main()
