"""Fetch a source's file or folder, checked against its pin."""

import glob
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confidistill.errors import UserError
from confidistill.files import atomic_folder, sha256
from confidistill.progress import progress
from confidistill.sources.archives import extract
from confidistill.sources.pins import HubSource, PackageSource, PathSource, UrlSource, numbered

_Source = PackageSource | PathSource | UrlSource | HubSource
TIMEOUT = 5  # seconds without an answer
UNREACHABLE = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


def fetch(source: _Source, into: Path) -> Path:
    """Put the source's file or folder under the folder `into`, checked against its pin, and return its path.

    Raises:
        UserError: it cannot be reached, is not there, or its sha256 is another (both are shown).
    """
    into.mkdir(parents=True, exist_ok=True)
    fetchers: dict[str, Callable[[Any, Path], Path]] = {
        "package": _fetch_package,
        "path": _fetch_path,
        "url": _fetch_url,
        "hub": _fetch_hub,
    }
    return fetchers[source.kind](source, into)


def fetch_folder(
    source: _Source,
    output: Path,
    *,
    files: Sequence[str] | None = None,
) -> None:
    """Make `output` a folder of the source's files, or of the `files` named, written whole or not at all.

    What came from the hub before a failure stays hidden beside `output`, and the next call goes on from there.

    Raises:
        UserError: as `fetch`, or one of `files` is not in the source.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with _beside(output, source) as temporary, atomic_folder(output) as folder:
        fetched = fetch(source, temporary)
        place = shutil.move if fetched.is_relative_to(temporary) else shutil.copy2
        if fetched.is_file():
            _require(files or [], [fetched.name])
            place(fetched, folder / fetched.name)
            return
        names = sorted(path.relative_to(fetched).as_posix() for path in fetched.rglob("*") if path.is_file())
        _require(files or [], names)
        for name in files or names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            place(fetched / name, folder / name)


@contextmanager
def _beside(output: Path, source: _Source) -> Iterator[Path]:
    """A folder that large files are moved from, not copied; that of a hub source is kept where the block fails."""
    name = f".fetch-{output.name}-"
    pin = hashlib.sha256(source.model_dump_json().encode()).hexdigest()[:16]
    folder = output.parent / f"{name}{pin}"
    keep = source.kind == "hub"
    for other in output.parent.glob(glob.escape(name) + "[0-9a-f]" * 16):
        if other != folder or not keep:
            shutil.rmtree(other)
    try:
        yield folder
        keep = False
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _require(wanted: Sequence[str], names: Sequence[str]) -> None:
    for name in wanted:
        if name not in names:
            raise UserError(f"no file {name!r} in the source: it has {', '.join(names)}")


def _check(path: Path, expected: str, what: str) -> None:
    found = sha256(path)
    if found != expected:
        raise UserError(
            f"{what}: sha256 is {found}, expected {expected}: the bytes have changed; "
            "if you trust them, put the new hash into params.yaml"
        )


def _fetch_package(source: PackageSource, into: Path) -> Path:
    """`pip download` of the pinned distribution, in the form (wheel or sdist) that has the hash.

    pip asks an sdist for its metadata, in an isolated environment: it takes setuptools from the same index (1.7 s).
    """
    pinned = f"{source.name}=={source.version}"
    downloads = into / "downloads"
    downloads.mkdir(exist_ok=True)
    requirements = into / "requirements.txt"
    requirements.write_text(f"{pinned} --hash=sha256:{source.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--retries", "1", "--timeout", str(TIMEOUT)]
    done = subprocess.run(
        [*command, "--dest", str(downloads), "--requirement", str(requirements)],
        capture_output=True,
        text=True,
        env=os.environ | {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": str(TIMEOUT)},  # of the isolated environment too
    )
    archives = list(downloads.iterdir())
    if done.returncode or len(archives) != 1:
        raise UserError(_explain_pip(pinned, source.sha256, done.stderr))
    _check(archives[0], source.sha256, pinned)
    return extract(archives[0], source.member, into / "extracted")


def _explain_pip(pinned: str, expected: str, stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    got = next((line.split()[-1] for line in lines if line.startswith("Got")), None)
    if got:
        return (
            f"{pinned}: sha256 is {got}, expected {expected}: the index serves other bytes; "
            "if you trust them, put the new hash into params.yaml"
        )
    errors = [line for line in lines if line.startswith("ERROR")]
    return (
        f"{pinned}: pip could not download it: {(errors or lines or ['no output'])[-1].removeprefix('ERROR: ')}: "
        "check that a package index can be reached (`pip config list`) and has this version"
    )


def _fetch_path(source: PathSource, into: Path) -> Path:
    path = Path(source.path)
    if source.sha256:
        if not path.is_file():
            raise UserError(f"{path}: no such file: put it there, or change the path in params.yaml")
        _check(path, source.sha256, str(path))
        return path
    if not path.is_dir():
        raise UserError(f"{path}: no such folder: put it there, or change the path in params.yaml")
    folder = into / "files"
    folder.mkdir()
    for name, expected in (source.files or {}).items():
        if not (path / name).is_file():
            raise UserError(f"{path / name}: no such file: put it there, or change `files` in params.yaml")
        _check(path / name, expected, str(path / name))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path / name, folder / name)
    return folder


def _fetch_url(source: UrlSource, into: Path) -> Path:
    path = into / (Path(urllib.parse.urlsplit(source.url).path).name or "download")
    try:
        with urllib.request.urlopen(source.url, timeout=TIMEOUT) as response, path.open("wb") as file:
            size = int(response.headers.get("Content-Length") or 0) or None
            with progress(total=size, what=path.name, unit="bytes") as bar:
                while block := response.read(2**20):
                    file.write(block)
                    bar.update(len(block))
    except UNREACHABLE as error:
        raise UserError(
            f"{source.url}: {_reason(error)}: check the network, or fetch it elsewhere and use a source of kind path"
        ) from None
    _check(path, source.sha256, source.url)
    return extract(path, source.member, into / "extracted") if source.member else path


def _reason(error: Exception) -> str:
    plain = isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError)
    return str(getattr(error, "reason", error) if plain else error) or type(error).__name__


def _fetch_hub(source: HubSource, into: Path) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import logging

    if constants.HF_HUB_OFFLINE:
        raise UserError(
            f"{source.repo}: HF_HUB_OFFLINE is set, so the hub is not asked: unset it, or use a source of kind path"
        )
    _reach(constants.ENDPOINT, source.repo)
    logging.set_verbosity_error()  # what it warns of is an error below
    folder = into / "files"
    pins = {name: expected for pattern, expected in source.files.items() for name in numbered(pattern)}

    def refused(why: str) -> UserError:
        return UserError(
            f"{source.repo}@{source.revision}: {why}: check the network, the name and the revision, or use a source "
            "of kind path"
        )

    try:
        snapshot_download(
            source.repo,
            repo_type=source.repo_type,
            revision=source.revision,
            local_dir=folder,
            allow_patterns=[glob.escape(name) for name in pins],
        )
    except (HfHubHTTPError, HTTPError, LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise refused((str(error) or repr(error)).splitlines()[0]) from None
    for name, expected in pins.items():
        if not (folder / name).is_file():
            raise refused(f"{name}: not there")
        if expected:
            try:
                _check(folder / name, expected, f"{source.repo}/{name}")
            except UserError:
                (folder / name).unlink()  # the next call takes it anew
                raise
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return folder


def _reach(endpoint: str, repo: str) -> None:
    """Fail within seconds where the hub's own client would go on trying."""
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=TIMEOUT)
    except urllib.error.HTTPError:
        return  # it answered
    except UNREACHABLE as error:
        raise UserError(
            f"{repo}: {endpoint} cannot be reached ({_reason(error)}): check the network, or use a "
            "source of kind path, package or url"
        ) from None
