"""python -m flows.search TASK STUDENT: see flows/search/command.py."""

import typer

from confidistill.errors import exits_cleanly
from flows.search.command import command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(exits_cleanly(command))

if __name__ == "__main__":
    app(prog_name="python -m flows.search")
