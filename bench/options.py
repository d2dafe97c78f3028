"""Options that benches have in common, and the text that is measured on."""

import argparse
from pathlib import Path

import pandas as pd

from confidistill.errors import UserError
from confidistill.text.glue import TASKS, read_glue

RAW = Path("data/raw")  # of a run in this clone


def parser(description: str | None) -> argparse.ArgumentParser:
    """The bench's own module docstring is its help."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_text(options: argparse.ArgumentParser, *, rows: int) -> None:
    """--glue, --task and --rows, for `texts`."""
    options.add_argument("--glue", type=Path, help="a folder of GLUE's TSV folders; default: the tables of data/raw")
    options.add_argument("--task", action="append", help=f"may be repeated; default: all of data/raw, or {GLUE}")
    options.add_argument("--rows", type=int, default=rows, help="of a task, drawn by seed; of one with no more, all")


GLUE = ("SST-2", "CoLA", "MRPC", "RTE")


def texts(glue: Path | None, tasks: list[str] | None, rows: int, seed: int) -> dict[str, pd.DataFrame]:
    """A train table (text, text_pair of pair tasks, label) a task, at most `rows` of its rows.

    Raises:
        UserError: there is no such table.
    """
    found = {}
    for task in tasks or (GLUE if glue else sorted(path.parent.name for path in RAW.glob("*/train.parquet"))):
        if glue and task not in TASKS:
            raise UserError(f"--task {task}: no task of GLUE: known are {', '.join(TASKS)}")
        if not glue:
            needed(RAW / task / "train.parquet")
        table = read_glue(task, glue / task)["train"] if glue else pd.read_parquet(RAW / task / "train.parquet")
        found[task] = table.sample(rows, random_state=seed).reset_index(drop=True) if rows < len(table) else table
    if not found:
        raise UserError(f"{RAW}: no task's table: run the quickstart here first (make demo), or give --glue FOLDER")
    return found


def needed(path: Path) -> Path:
    """`path`, of a run in this clone.

    Raises:
        UserError: it is not there.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder: run the quickstart here first (make demo), or name another")
    return path
