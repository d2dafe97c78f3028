"""`confidistill check` on two prediction files, beside pandas reading them: seconds and peak memory.

    python -m bench.check [--rows 10000 --rows 1000000 ...] [--format csv] [--classes 2] [--rounds 3]

Each is a process of its own, in turn; its start and its imports count. By default 10^4 ... 10^7 rows, as CSV and as
Parquet; those of 10^7 take 1.5 GB of disk while they are measured.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.options import parser
from bench.processes import Process, measured
from bench.results import Report
from bench.timing import in_turn
from confidistill.confidence.predictions import softmax
from confidistill.errors import exits_cleanly

ROWS = [10**4, 10**5, 10**6, 10**7]
PIECE = 10**6  # rows that are made at a time
READ = "import sys, pandas; tables = [pandas.read_{}(path) for path in sys.argv[1:]]"
JUDGED = (0, 1)  # exit statuses that are a verdict


def write_pair(folder: Path, rows: int, classes: int, form: str, seed: int = 0) -> list[Path]:
    """A teacher's and a noisier student's predictions of the same random examples, in the released layout."""
    paths = [folder / f"{who}.{form}" for who in ("teacher", "student")]
    for path, noise in zip(paths, (0.0, 0.5), strict=True):
        pieces = _pieces(rows, classes, noise, seed)
        if form == "csv":
            for number, piece in enumerate(pieces):
                piece.to_csv(path, index=False, header=number == 0, mode="w" if number == 0 else "a")
        else:
            tables = (pa.Table.from_pandas(piece, preserve_index=False) for piece in pieces)
            first = next(tables)
            with pq.ParquetWriter(path, first.schema) as writer:
                for table in (first, *tables):
                    writer.write_table(table)
    return paths


def _pieces(rows: int, classes: int, noise: float, seed: int) -> Iterator[pd.DataFrame]:
    for start in range(0, rows, PIECE):
        random = np.random.default_rng([seed, start])
        count = min(PIECE, rows - start)
        labels = random.integers(0, classes, count)
        logits = random.normal(size=(count, classes)) + 3 * np.eye(classes)[labels]
        probabilities = softmax(logits + noise * random.normal(size=logits.shape))
        columns = {f"p{index}": probabilities[:, index] for index in range(classes)}
        yield pd.DataFrame({"pred": probabilities.argmax(axis=1), **columns, "label": labels})


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, action="append", help="may be repeated")
    options.add_argument("--format", choices=["csv", "parquet"], action="append", help="default: both")
    options.add_argument("--classes", type=int, default=2)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args(arguments)
    report = Report("check", dtype="float64", seed=asked.seed, classes=asked.classes, rounds=asked.rounds)
    for form in asked.format or ["csv", "parquet"]:
        for rows in asked.rows or ROWS:
            with TemporaryDirectory() as folder:
                paths = write_pair(Path(folder), rows, asked.classes, form, asked.seed)
                ways = {
                    "check": partial(measured, "-m", "confidistill.cli", "check", *paths, codes=JUDGED),
                    "pandas": partial(measured, "-c", READ.format(form), *paths),
                }
                found = in_turn(ways, asked.rounds)
            _compare(report, f"{rows:,} rows, {form}", found["check"], found["pandas"])
    report.write()


def _compare(report: Report, what: str, check: Sequence[Process], pandas: Sequence[Process]) -> None:
    for unit, measure in (("s", "seconds"), ("MiB", "peak_mib")):
        own, theirs = ([getattr(process, measure) for process in way] for way in (check, pandas))
        report.beside(what, own, unit, "pandas reading both", theirs)


if __name__ == "__main__":
    main()
