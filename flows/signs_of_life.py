"""What a stage's run on a work pool shows of itself while it lasts, as artifacts of its flow run: written, and read.

The progress artifact says how long it has run and its last line; where the training measures sigma(Tr), a table has it.
"""

import contextvars
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    TableArtifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.objects import Artifact

from tasks.training_progress import SigmasOfNow

BEATS_PER_PATIENCE = 6
SIGMAS = "sigma(Tr) after each epoch"


@contextmanager
def signs_of_life(name: str, patience: int) -> Iterator[Callable[[str], None]]:
    """Keep the artifacts of this flow run fresh while the block runs; lines are handed to what it gives."""
    last_line = ""
    started = time.monotonic()
    over = threading.Event()
    progress: Any = create_progress_artifact(progress=0.0, description=f"{name}: started")
    sigmas, table = SigmasOfNow(name), Table()

    def keep(line: str) -> None:
        nonlocal last_line
        last_line = line

    def beat() -> None:
        while not over.wait(patience / BEATS_PER_PATIENCE):
            minutes, seconds = divmod(int(time.monotonic() - started), 60)
            with suppress(Exception):  # the server is away: the next beat tells it
                update_progress_artifact(progress, 0.0, f"{name}: {minutes}:{seconds:02d}  {last_line}")
                table.show(sigmas())

    thread = threading.Thread(target=contextvars.copy_context().run, args=(beat,), daemon=True)
    thread.start()
    try:
        yield keep
    finally:
        over.set()
        thread.join()
    with suppress(Exception):
        update_progress_artifact(progress, 100.0, f"{name}: done")


class Table:
    """A table artifact of sigma(Tr), which is there from the first epoch on."""

    def __init__(self) -> None:
        self._shown = 0
        self._id: UUID | None = None

    def show(self, sigmas: list[float]) -> None:
        """Show sigma(Tr) after each epoch so far."""
        if len(sigmas) == self._shown:
            return
        rows = [{"epoch": epoch, "sigma": sigma} for epoch, sigma in enumerate(sigmas, start=1)]
        if self._id is None:
            created: Any = create_table_artifact(rows, description=SIGMAS)
            self._id = created
        else:
            text: Any = TableArtifact(table=rows).format()
            with get_client(sync_client=True) as client:
                client.update_artifact(self._id, ArtifactUpdate(data=text))
        self._shown = len(sigmas)


def sigmas_in(artifacts: Iterable[Artifact]) -> list[float]:
    """Sigma(Tr) after each epoch, of a flow run with these artifacts; NaN where it is undefined."""
    tables: list[list[dict[str, Any]]] = [
        json.loads(str(artifact.data))
        for artifact in artifacts
        if artifact.type == "table" and artifact.description == SIGMAS
    ]
    longest = max(tables, key=len, default=[])  # one whose creation was not confirmed is made twice
    return [math.nan if row["sigma"] is None else row["sigma"] for row in longest]
