"""What each download takes, a file a use: so that a change of one pin runs the downloads of that source alone.

A stage of DVC cannot depend on the source that params.yaml names where it may name none: DVC writes null as `None`. So
`preflight` writes the sources named into `data/pins/`, and the downloads depend on these files.
"""

from pathlib import Path

from confidistill.files import json_text
from tasks.params import Params

PINS = Path("data/pins")


def pins(params: Params) -> dict[str, str]:
    """The files of `data/pins/`: name and text, a source of params.yaml as JSON, or null."""
    named: dict[str, str | None] = {
        "base": params.models.base,
        "mlm": params.models.mlm,
        "vectors": params.vectors.source if params.vectors else None,
        "corpus": params.corpus.source if params.corpus else None,
    } | {f"checkpoint-{name}": student.checkpoint for name, student in params.students.items()}
    for name, task in params.tasks.items():
        named[f"transfer-{name}"] = task.transfer.source if task.transfer else None
    files = {
        f"{use}.json": json_text(params.sources[source].model_dump(mode="json") if source else None)
        for use, source in named.items()
    }
    for name in params.tasks:
        given = params.models.teachers.get(name)
        source = params.sources[given.source].model_dump(mode="json") if given else None
        files[f"teacher-{name}.json"] = json_text(
            {**given.model_dump(mode="json"), "source": source} if given else None
        )
    return files
