"""The command line of a search: python -m flows.search, confidistill restore.

Exit status: 0 restored, 1 not restored, 2 unusable input, 130 interrupted: run again, it goes on.
"""

import sys
from itertools import count, islice
from typing import Annotated

import typer

from confidistill.errors import UserError
from flows import PATIENCE

CONFIRMATIONS = 3


def command(
    task: Annotated[str, typer.Argument(help="A task of params.yaml.")],
    student: Annotated[str, typer.Argument(help="A student of params.yaml.")],
    preset: Annotated[str, typer.Option(help="What is tried: patience (stage 2), paper, full.")] = "patience",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Two objectives: sigma(Tr), and sigma of the held-out share of Tr.")
    ] = False,
    trials: Annotated[int, typer.Option(min=1, metavar="N", help="In all; the untuned student is one of them.")] = 20,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Trials side by side.")] = 1,
    gpu_pool: Annotated[
        str | None, typer.Option(metavar="NAME", help="Work pool for the trials' stages marked for a GPU.")
    ] = None,
    patience: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="Silence that means lost.")] = PATIENCE,
    study: Annotated[
        str | None, typer.Option(metavar="NAME", help="[default: TASK-STUDENT-PRESET, or ...-held-out]")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="A database, for a study of several clones.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write what was found into params.yaml.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 42,
    confirm_seeds: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Fresh seeds for the winner, three or more; '': none."),
    ] = None,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="Go on when a trial holds by a margin.")] = False,
) -> None:
    """Search for settings with which a student is as sure as its teacher, at no loss of accuracy."""
    from flows.search.job import open_job

    job = open_job(task, student, preset=preset, held_out=held_out, study=study, seed=seed)
    seeds = confirmation_seeds(confirm_seeds, job.used_seeds)

    from confidistill.files import atomic_file
    from flows.search.flow import run
    from flows.search.outcome import applied, conclude
    from flows.search.study import Study
    from tasks.params import PARAMS_FILE

    opened = Study(job, storage, seeds)
    run(
        opened,
        trials=trials,
        workers=workers,
        exhaustive=exhaustive,
        gpu_pool=gpu_pool,
        patience=patience,
    )
    found = opened.findings
    text, restored = conclude(found)
    print(text)
    changed, difference = applied(found)
    if not difference:
        print(f"{PARAMS_FILE} stays as it is: no trial does better")
    elif apply:
        with atomic_file(PARAMS_FILE) as path:
            path.write_text(changed, encoding="utf-8")
        print(f"{PARAMS_FILE} now has, for `dvc repro` to run:\n{difference}", end="")
    else:
        print(f"--apply would write into {PARAMS_FILE}:\n{difference}", end="")
    sys.exit(0 if restored else 1)


def confirmation_seeds(given: str | None, used: frozenset[int]) -> list[int]:
    """Seeds that confirm the winner, none of which the search has used.

    Raises:
        UserError: they are no such seeds, or fewer than three.
    """
    if given is None:
        return list(islice((seed for seed in count(1) if seed not in used), CONFIRMATIONS))
    parts = [part.strip() for part in given.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) < 2**32 for part in parts):
        raise UserError(f"--confirm-seeds {given!r}: whole numbers with commas between, such as 1,2,3")
    seeds = [int(part) for part in parts]
    if seeds and len(set(seeds)) < max(CONFIRMATIONS, len(seeds)):
        raise UserError(f"--confirm-seeds {given!r}: {CONFIRMATIONS} different ones are needed, or '' for none")
    if again := used.intersection(seeds):
        raise UserError(f"--confirm-seeds: {min(again)} is a seed that the search itself uses: name another")
    return seeds
