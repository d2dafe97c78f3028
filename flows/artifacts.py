"""What a run shows in Prefect's UI: progress, the verdict table, Figure 2 of each pair, the report."""

import base64
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)

from flows.server import AWAY

RESULTS = Path("results")
FIGURES = "*/*/figures/figure2-train.png"
MAXIMUM_PICTURE_BYTES = 400_000


class Progress:
    """The progress artifact of a run: stages done of all."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._artifact: Any = create_progress_artifact(progress=0.0, key="progress", description=f"0 of {total} stages")

    def add(self, name: str) -> None:
        """One more stage is done (or failed, or given up)."""
        self._done += 1
        percent = 100.0 * self._done / self._total
        with suppress(*AWAY):  # the next stage tells it
            update_progress_artifact(self._artifact, percent, f"{self._done} of {self._total} stages; last: {name}")


def publish() -> None:
    """Show the results in the current folder, as far as stages have written them."""
    table, report = RESULTS / "table.md", RESULTS / "report.html"
    if table.exists():
        create_markdown_artifact(table.read_text(), key="verdicts", description="Does the property hold?")
    for picture in sorted(RESULTS.glob(FIGURES)):
        task, student = picture.parts[-4:-2]
        create_markdown_artifact(_picture(picture, f"{task}, {student}"), key=key("figure", task, student))
    if report.exists():
        create_link_artifact(report.resolve().as_uri(), link_text=str(report), key="report")


def key(*parts: str) -> str:
    """An artifact key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def _picture(path: Path, title: str) -> str:
    content = path.read_bytes()
    if len(content) > MAXIMUM_PICTURE_BYTES:
        return f"## {title}\n\n{path}"
    return f"## {title}\n\n![{title}](data:image/png;base64,{base64.b64encode(content).decode()})\n"
