"""What a source is: where its bytes come from, and the pin (version or revision, sha256) they are checked against."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack")
NUMBERED = re.compile(r"\{(\d+)\.\.(\d+)\}")


def _inside(name: str) -> str:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError("must be a path inside the folder, without ..")
    return name


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(min_length=1), AfterValidator(_inside)]


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PackageSource(_Source):
    """A file or folder inside a distribution of the configured Python package index."""

    kind: Literal["package"]
    name: str
    version: str
    sha256: Sha256
    member: str
    """Path inside the archive; `!/` enters an archive inside it."""


class PathSource(_Source):
    """A file (with `sha256`) or a folder (with `files`: name -> sha256) on this machine."""

    kind: Literal["path"]
    path: str
    sha256: Sha256 | None = None
    files: Annotated[dict[FileName, Sha256], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_pin(self) -> "PathSource":
        if (self.sha256 is None) == (self.files is None):
            raise ValueError("give either sha256 (of a file) or files (name: sha256, of a folder)")
        return self


class UrlSource(_Source):
    """A file on the web; with `member`, a file or folder inside that archive."""

    kind: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://")]
    sha256: Sha256
    member: str | None = None


class HubSource(_Source):
    """Files of a model or data set on the Hugging Face hub, at one commit; a sha256 may be null.

    `part-{00..40}` names the files part-00 to part-40.
    """

    kind: Literal["hub"]
    repo: str
    repo_type: Literal["model", "dataset"]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    files: Annotated[dict[FileName, Sha256 | None], Field(min_length=1)]

    @model_validator(mode="after")
    def _readable(self) -> "HubSource":
        for name, expected in self.files.items():
            if self.repo_type == "model" and name.endswith(PICKLES):
                raise ValueError(f"{name} is not safetensors: weights are read from safetensors only")
            if expected and len(numbered(name)) > 1:
                raise ValueError(f"{name} is more than one file: its sha256 must be null")
        return self


def numbered(name: str) -> list[str]:
    """The names that `part-{00..40}` stands for; any other name stands for itself."""
    match = NUMBERED.search(name)
    if not match:
        return [name]
    first, last = match.groups()
    numbers = range(int(first), int(last) + 1)
    return [f"{name[: match.start()]}{number:0{len(first)}}{name[match.end() :]}" for number in numbers]


Source = Annotated[PackageSource | PathSource | UrlSource | HubSource, Field(discriminator="kind")]
