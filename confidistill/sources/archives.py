"""Taking one file or folder out of an archive, or out of an archive inside it."""

import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from confidistill.errors import UserError


def extract(archive: Path, member: str, into: Path) -> Path:
    """Extract `member` of a zip, wheel or tar archive into the folder `into` and return its path.

    `outer.tar.gz!/inner` is the member `inner` of the archive `outer.tar.gz` inside.

    Raises:
        UserError: not an archive, no such member, one whose path leaves the archive, or a link.
    """
    first, _, rest = member.partition("!/")
    try:
        if archive.is_file() and zipfile.is_zipfile(archive):
            path = _from_zip(archive, first, into)
        elif archive.is_file() and tarfile.is_tarfile(archive):
            path = _from_tar(archive, first, into)
        else:
            raise UserError(f"{archive.name}: neither a zip nor a tar archive")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{archive.name}: {error or 'it is cut off'}: refused") from None
    return extract(path, rest, into / "nested") if rest else path


def _from_zip(archive: Path, member: str, into: Path) -> Path:
    with zipfile.ZipFile(archive) as file:
        names = [name for name in file.namelist() if name == member or name.startswith(f"{member}/")]
        _require(archive, member, names)
        file.extractall(into, names)
    return into / member


def _from_tar(archive: Path, member: str, into: Path) -> Path:
    with tarfile.open(archive) as file:
        chosen = [entry for entry in file if entry.name == member or entry.name.startswith(f"{member}/")]
        _require(archive, member, [entry.name for entry in chosen])
        for entry in chosen:  # not by `extractall`, whose filters early releases of Python 3.11 lack
            path = into / entry.name
            if entry.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            content = file.extractfile(entry) if entry.isfile() else None
            if content is None:
                raise UserError(f"{archive.name}: member {entry.name!r} is neither a file nor a folder: refused")
            path.parent.mkdir(parents=True, exist_ok=True)
            with content, path.open("wb") as target:
                shutil.copyfileobj(content, target)
    return into / member


def _require(archive: Path, member: str, names: list[str]) -> None:
    if not names:
        raise UserError(f"{archive.name}: no member {member!r}: check `member` in params.yaml")
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"{archive.name}: member {name!r} leaves the archive: refused")
