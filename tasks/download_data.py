"""Fetch, check and split one task's text."""

from pathlib import Path
from tempfile import TemporaryDirectory

from confidistill.errors import UserError
from confidistill.sources.fetch import fetch
from confidistill.sources.pins import PathSource
from confidistill.text.dataset import prepare
from tasks.entry import stage
from tasks.params import Params


@stage
def main(params: Params, task: str) -> None:
    data = params.task(task).data
    source = params.sources[data.source]
    with TemporaryDirectory() as folder:
        fetched = fetch(source, Path(folder))
        try:
            prepare(data, fetched, Path("data/raw") / task, held_out=params.selection)
        except UserError as error:  # of the user's own file, not of the copy
            shown = source.path if isinstance(source, PathSource) else data.source
            raise UserError(str(error).replace(str(fetched), shown)) from None


if __name__ == "__main__":
    main()
