"""Fetch, check and split one task's text."""

from pathlib import Path
from tempfile import TemporaryDirectory

from confidistill.sources.fetch import fetch
from confidistill.text.dataset import prepare
from tasks.entry import stage
from tasks.params import Params


@stage
def main(params: Params, task: str) -> None:
    data = params.task(task).data
    with TemporaryDirectory() as folder:
        source = fetch(params.sources[data.source], Path(folder))
        prepare(data, source, Path("data/raw") / task)


if __name__ == "__main__":
    main()
