"""Sources against a real server, a real pip, a real hub client: what is pinned comes, anything else is refused."""

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from confidistill.augmentation.vectors import convert, load_vectors
from confidistill.errors import UserError
from confidistill.files import sha256
from confidistill.sources.archives import extract
from confidistill.sources.fetch import fetch, fetch_folder
from confidistill.sources.pins import Source, numbered
from tests.hub import COMMIT, publish, serving, settings

OTHER = "0" * 64


def source(**fields):
    return TypeAdapter(Source).validate_python(fields)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def served(tmp_path, request):
    """A folder on a loopback web server, and the server's address.

    `@pytest.mark.parametrize("served", [2], indirect=True)`: parts are given out two at a time.
    """
    at_once = threading.Barrier(request.param) if hasattr(request, "param") else None

    def before(path):
        if at_once and "part-" in path:
            at_once.wait(timeout=20)  # until so many ask for a part

    with serving(tmp_path / "served", before) as address:
        yield tmp_path / "served", address


def test_a_url_is_fetched_and_checked(served, tmp_path):
    folder, address = served
    (folder / "text.txt").write_bytes(b"some text\n")
    path = fetch(source(kind="url", url=f"{address}/text.txt?x=1", sha256=digest(b"some text\n")), tmp_path / "into")
    assert (path.name, path.read_bytes()) == ("text.txt", b"some text\n")


def test_a_changed_byte_is_refused_with_both_hashes(served, tmp_path):
    folder, address = served
    (folder / "text.txt").write_bytes(b"some texT\n")
    with pytest.raises(UserError) as raised:
        fetch(source(kind="url", url=f"{address}/text.txt", sha256=digest(b"some text\n")), tmp_path / "into")
    assert digest(b"some texT\n") in str(raised.value)
    assert digest(b"some text\n") in str(raised.value)


def test_a_member_of_an_archive_on_the_web(served, tmp_path):
    folder, address = served
    with zipfile.ZipFile(folder / "vectors.zip", "w") as archive:
        archive.writestr("a/50d.txt", "the 0.1\n")
        archive.writestr("a/300d.txt", "the 0.3\n")
    fields = {"kind": "url", "url": f"{address}/vectors.zip", "sha256": sha256(folder / "vectors.zip")}
    path = fetch(source(**fields, member="a/300d.txt"), tmp_path / "into")
    assert path.read_text() == "the 0.3\n"
    assert [found.name for found in (tmp_path / "into" / "extracted").rglob("*.txt")] == ["300d.txt"]


def test_word_vectors_are_read_inside_the_zip_that_was_fetched(served, tmp_path):
    folder, address = served
    with zipfile.ZipFile(folder / "glove.zip", "w") as archive:
        archive.writestr("50d.txt", "the 0 1\n")
        archive.writestr("300d.txt", "the 3 4\ncat 1 0\nrare 1 1\n")
    path = fetch(source(kind="url", url=f"{address}/glove.zip", sha256=sha256(folder / "glove.zip")), tmp_path / "into")
    convert(path, tmp_path / "vectors", member="300d.txt", limit=2)
    assert load_vectors(tmp_path / "vectors").words == ["the", "cat"]
    assert [file.name for file in (tmp_path / "into").rglob("*")] == ["glove.zip"]


def test_a_url_that_is_not_there_says_so(served, tmp_path):
    with pytest.raises(UserError, match=r"nothing.txt: HTTP Error 404: .*check the network"):
        fetch(source(kind="url", url=f"{served[1]}/nothing.txt", sha256=OTHER), tmp_path)


@pytest.mark.timeout(60)  # the operating system's own patience is minutes
@pytest.mark.parametrize("unreachable", ["refused", "silent"])
def test_an_unreachable_url_fails_within_seconds(tmp_path, monkeypatch, unreachable):
    monkeypatch.setattr("confidistill.sources.fetch.TIMEOUT", 1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if unreachable == "silent":
            listener.listen()  # takes the connection and never answers
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/text.txt"
        with pytest.raises(UserError, match="check the network, or fetch it elsewhere and use a source of kind path"):
            fetch(source(kind="url", url=address, sha256=OTHER), tmp_path)


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    """A package index in a folder: a wheel, and an sdist with an archive inside."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    with zipfile.ZipFile(folder / "toytext-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toytext/data/train.txt", "good\n")
        wheel.writestr("toytext-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toytext\nVersion: 1.0\n")
        wheel.writestr("toytext-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("toytext-1.0.dist-info/RECORD", "")
    inner = tar(tmp_path / "inner.tar.gz", {"ratings/a.txt": b"1\t2.0\tgood\n", "ratings/deep/b.txt": b"b\n"})
    # A build backend of its own: the isolated environment needs nothing from an index that this folder is not.
    backend = (
        "import pathlib\n"
        "def prepare_metadata_for_build_wheel(folder, settings=None):\n"
        "    info = pathlib.Path(folder, 'toyrated-2.0.dist-info')\n"
        "    info.mkdir()\n"
        "    (info / 'METADATA').write_text('Metadata-Version: 2.1\\nName: toyrated\\nVersion: 2.0\\n')\n"
        "    return info.name\n"
        "def build_wheel(*arguments): raise SystemExit('never built')\n"
        "def build_sdist(*arguments): raise SystemExit('never built')\n"
    )
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    members = {
        "toyrated-2.0/PKG-INFO": b"Metadata-Version: 2.1\nName: toyrated\nVersion: 2.0\n",
        "toyrated-2.0/pyproject.toml": project.encode(),
        "toyrated-2.0/backend.py": backend.encode(),
        "toyrated-2.0/resources/inner.tar.gz": inner.read_bytes(),
    }
    tar(folder / "toyrated-2.0.tar.gz", members)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def wheel(folder: Path, **changes):
    fields = {"name": "toytext", "version": "1.0", "member": "toytext/data"}
    return source(kind="package", **(fields | {"sha256": sha256(next(folder.glob("*.whl")))} | changes))


def test_a_folder_of_a_wheel(wheelhouse, tmp_path):
    path = fetch(wheel(wheelhouse), tmp_path / "into")
    assert [(file.name, file.read_text()) for file in path.iterdir()] == [("train.txt", "good\n")]


def test_a_nested_member_of_an_sdist(wheelhouse, tmp_path):
    pinned = sha256(wheelhouse / "toyrated-2.0.tar.gz")
    fields = {"kind": "package", "name": "toyrated", "version": "2.0", "sha256": pinned}
    member = "toyrated-2.0/resources/inner.tar.gz!/ratings"
    path = fetch(source(**fields, member=member), tmp_path / "into")
    assert (path / "a.txt").read_bytes() == b"1\t2.0\tgood\n"
    assert (path / "deep" / "b.txt").read_bytes() == b"b\n"


def test_an_index_with_other_bytes_is_refused_with_both_hashes(wheelhouse, tmp_path):
    with pytest.raises(UserError) as raised:
        fetch(wheel(wheelhouse, sha256=OTHER), tmp_path / "into")
    assert str(raised.value).startswith(f"toytext==1.0: sha256 is {sha256(next(wheelhouse.glob('*.whl')))}, expected 0")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("changes", [{"version": "9.9"}, {"name": "no-such-toy-package"}])
def test_what_the_index_lacks_is_one_line(wheelhouse, tmp_path, changes):
    with pytest.raises(UserError, match=r"pip could not download it: .*check that a package index can be reached") as e:
        fetch(wheel(wheelhouse, **changes), tmp_path / "into")
    assert "\n" not in str(e.value)


def test_a_missing_member_is_named(wheelhouse, tmp_path):
    with pytest.raises(UserError, match=r"toytext-1.0-py3-none-any.whl: no member 'toytext/dev.txt': check `member`"):
        fetch(wheel(wheelhouse, member="toytext/dev.txt"), tmp_path / "into")


def test_an_unreachable_index_says_what_to_do(wheelhouse, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}/simple")
    with pytest.raises(UserError, match=r"toytext==1.0: pip could not download it: .*check that a package index"):
        fetch(wheel(wheelhouse), tmp_path / "into")


@pytest.fixture
def folder(tmp_path):
    """A folder of two files, one in a folder below, and its pins."""
    (tmp_path / "own" / "deep").mkdir(parents=True)
    (tmp_path / "own" / "train.csv").write_bytes(b"a\n")
    (tmp_path / "own" / "deep" / "dev.csv").write_bytes(b"b\n")
    return tmp_path / "own", {"train.csv": digest(b"a\n"), "deep/dev.csv": digest(b"b\n")}


def test_a_folder_of_this_machine_is_copied_whole(folder, tmp_path):
    own, files = folder
    (own / "unpinned.txt").write_text("not asked for\n")
    fetch_folder(source(kind="path", path=str(own), files=files), tmp_path / "out")
    found = {file.relative_to(tmp_path / "out").as_posix(): sha256(file) for file in (tmp_path / "out").rglob("*.*")}
    assert found == files
    assert (own / "train.csv").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "own"]


def test_a_file_of_this_machine_is_copied_not_moved(folder, tmp_path):
    own, files = folder
    pinned = source(kind="path", path=str(own / "train.csv"), sha256=files["train.csv"])
    assert fetch(pinned, tmp_path / "into") == own / "train.csv"
    fetch_folder(pinned, tmp_path / "out")
    assert (tmp_path / "out" / "train.csv").read_bytes() == (own / "train.csv").read_bytes() == b"a\n"


def test_only_the_files_named_are_taken(folder, tmp_path):
    own, files = folder
    pinned = source(kind="path", path=str(own), files=files)
    fetch_folder(pinned, tmp_path / "out", files=["deep/dev.csv"])
    assert [path.name for path in (tmp_path / "out").rglob("*.csv")] == ["dev.csv"]
    with pytest.raises(UserError, match=r"no file 'test.csv' in the source: it has deep/dev.csv, train.csv"):
        fetch_folder(pinned, tmp_path / "out2", files=["test.csv"])
    assert not (tmp_path / "out2").exists()


def test_a_failed_fetch_leaves_what_was_there(folder, tmp_path):
    own, files = folder
    pinned = source(kind="path", path=str(own), files=files)
    fetch_folder(pinned, tmp_path / "out")
    (own / "train.csv").write_bytes(b"A\n")
    with pytest.raises(UserError) as raised:
        fetch_folder(pinned, tmp_path / "out")
    assert f"train.csv: sha256 is {digest(b'A' + bytes([10]))}, expected {files['train.csv']}" in str(raised.value)
    assert (tmp_path / "out" / "train.csv").read_bytes() == b"a\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "own"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": "nowhere.csv", "sha256": OTHER}, "nowhere.csv: no such file: put it there"),
        ({"path": "nowhere", "files": {"a.csv": OTHER}}, "nowhere: no such folder: put it there"),
        ({"path": ".", "files": {"nowhere.csv": OTHER}}, "nowhere.csv: no such file: put it there, or change `files`"),
    ],
)
def test_a_missing_path_is_named(tmp_path, monkeypatch, fields, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        fetch(source(kind="path", **fields), tmp_path / "into")


HUB = {"kind": "hub", "repo": "someone/something", "repo_type": "model", "revision": COMMIT}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (HUB | {"revision": "main", "files": {"config.json": None}}, "String should match pattern"),
        (HUB | {"files": {"pytorch_model.bin": None}}, "pytorch_model.bin is not safetensors"),
        (HUB | {"files": {}}, "at least 1 item"),
        (HUB | {"files": {"../config.json": None}}, "must be a path inside the folder"),
        (HUB | {"files": {"part-{0..3}.json": OTHER}}, "more than one file: its sha256 must be null"),
        ({"kind": "path", "path": "a"}, "give either sha256"),
        ({"kind": "path", "path": "a", "sha256": OTHER, "files": {"b": OTHER}}, "give either sha256"),
        ({"kind": "path", "path": "a", "files": {"/etc/hosts": OTHER}}, "must be a path inside the folder"),
        ({"kind": "url", "url": "ftp://a/b", "sha256": OTHER}, "String should match pattern"),
        ({"kind": "url", "url": "https://a/b"}, "Field required"),
        ({"kind": "url", "url": "https://a/b", "sha256": "abc"}, "String should match pattern"),
        ({"kind": "torrent", "path": "a"}, "does not match any of the expected tags"),
    ],
)
def test_an_unpinned_or_unsafe_source_is_refused_before_any_work(fields, message):
    with pytest.raises(ValidationError, match=message):
        source(**fields)


def test_numbered_files():
    names = numbered("en/train-{00008..00010}-of-00041.parquet")
    assert names == [f"en/train-{number}-of-00041.parquet" for number in ("00008", "00009", "00010")]
    assert numbered("config.json") == ["config.json"]


def fetch_from_hub(tmp_path: Path, endpoint: str, files: dict, **environment) -> subprocess.CompletedProcess[str]:
    """Fetch in a process of its own, which reads the hub's address as it starts; print the files that came."""
    program = (
        "import json, sys; from pathlib import Path; from pydantic import TypeAdapter\n"
        "from confidistill.errors import exits_cleanly\n"
        "from confidistill.sources.fetch import fetch_folder\n"
        "from confidistill.sources.pins import Source\n"
        "fields, output = json.loads(sys.argv[1]), Path(sys.argv[2])\n"
        "exits_cleanly(fetch_folder)(TypeAdapter(Source).validate_python(fields), output)\n"
        "print(sorted(path.relative_to(output).as_posix() for path in output.rglob('*') if path.is_file()))\n"
    )
    command = [sys.executable, "-c", program, json.dumps(HUB | {"files": files}), str(tmp_path / "out")]
    return subprocess.run(
        command,
        env=os.environ | settings(endpoint) | environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def left(tmp_path: Path) -> list[str]:
    """What a fetch left beside the folder that is served."""
    return sorted(path.name for path in tmp_path.iterdir() if path.name != "served")


PARTS = {f"en/part-{number:02}.txt": f"part {number}\n".encode() for number in range(2)}


def test_the_hub_gives_files_in_folders_and_numbered_ones(served, tmp_path):
    folder, address = served
    publish(folder, {"config.json": b"{}\n", "README.md": b"not asked for\n"} | PARTS)
    done = fetch_from_hub(tmp_path, address, {"config.json": digest(b"{}\n"), "en/part-{00..01}.txt": None})
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['config.json', 'en/part-00.txt', 'en/part-01.txt']\n"

    changed = fetch_from_hub(tmp_path, address, {"config.json": OTHER})
    assert changed.returncode == 2
    assert f"someone/something/config.json: sha256 is {digest(b'{}' + bytes([10]))}, expected {OTHER}" in changed.stderr
    assert (tmp_path / "out" / "en").exists()  # what was there stays

    missing = fetch_from_hub(tmp_path, address, {"nothing.json": None})
    assert missing.returncode == 2
    assert f"someone/something@{COMMIT}: nothing.json: " in missing.stderr
    assert missing.stderr.count("\n") == 1


@pytest.mark.parametrize("served", [2], indirect=True)
def test_the_hub_is_asked_for_several_files_at_once(served, tmp_path):
    folder, address = served
    publish(folder, PARTS)
    done = fetch_from_hub(tmp_path, address, {"en/part-{00..01}.txt": None})
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['en/part-00.txt', 'en/part-01.txt']\n"
    assert left(tmp_path) == ["out"]


def test_a_fetch_from_the_hub_that_failed_goes_on(served, tmp_path):
    """The second file comes in the second call, when the server no longer has the first."""
    folder, address = served
    resolve = publish(folder, {"a.txt": b"a\n", "b.txt": b"b\n"})
    (resolve / "b.txt").unlink()
    pins = {"a.txt": digest(b"a\n"), "b.txt": digest(b"b\n")}
    failed = fetch_from_hub(tmp_path, address, pins)
    assert failed.returncode == 2, failed.stdout
    assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    (resolve / "a.txt").unlink()
    (resolve / "b.txt").write_bytes(b"b\n")
    done = fetch_from_hub(tmp_path, address, pins)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"a.txt": b"a\n", "b.txt": b"b\n"}
    assert left(tmp_path) == ["out"]


def test_bytes_that_were_refused_are_not_kept(served, tmp_path):
    folder, address = served
    resolve = publish(folder, {"a.txt": b"a\n"})
    (resolve / "a.txt").write_bytes(b"A\n")
    assert fetch_from_hub(tmp_path, address, {"a.txt": digest(b"a\n")}).returncode == 2
    (resolve / "a.txt").write_bytes(b"a\n")
    done = fetch_from_hub(tmp_path, address, {"a.txt": digest(b"a\n")})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"a\n"


def test_what_another_pin_left_is_removed(served, tmp_path):
    folder, address = served
    publish(folder, {"a.txt": b"a\n"})
    assert fetch_from_hub(tmp_path, address, {"a.txt": None, "b.txt": None}).returncode == 2
    assert len(left(tmp_path)) == 1
    assert fetch_from_hub(tmp_path, address, {"a.txt": None}).stdout == "['a.txt']\n"
    assert left(tmp_path) == ["out"]


@pytest.mark.timeout(60)
def test_an_unreachable_hub_fails_within_seconds(tmp_path):
    done = fetch_from_hub(tmp_path, f"http://127.0.0.1:{free_port()}", {"config.json": None})
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert "use a source of kind path, package or url" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_offline_hub_is_not_asked(served, tmp_path):
    done = fetch_from_hub(tmp_path, served[1], {"config.json": None}, HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "HF_HUB_OFFLINE is set" in done.stderr


def test_a_zip_member_that_leaves_the_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("data/../../escaped.txt", "out\n")
    with pytest.raises(UserError, match="leaves the archive: refused"):
        extract(tmp_path / "bad.zip", "data", tmp_path / "into")
    assert not (tmp_path.parent / "escaped.txt").exists()
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("name", ["data/../../escaped.txt", "../escaped.txt", "/escaped.txt"])
def test_a_tar_member_that_leaves_the_archive_is_refused(tmp_path, name):
    tar(tmp_path / "bad.tar.gz", {name: b"out\n"})
    with pytest.raises(UserError, match="leaves the archive: refused"):
        extract(tmp_path / "bad.tar.gz", name.split("/escaped")[0].split("/")[0], tmp_path / "into")
    assert not Path("/escaped.txt").exists()
    assert not (tmp_path / "escaped.txt").exists()


def test_a_tar_link_that_leaves_the_archive_is_refused(tmp_path):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        link = tarfile.TarInfo("data/passwd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(UserError, match=r"bad.tar: .*refused"):
        extract(tmp_path / "bad.tar", "data", tmp_path / "into")


def test_what_is_no_archive_or_cut_off_is_refused(tmp_path):
    (tmp_path / "page.zip").write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"page.zip: neither a zip nor a tar archive"):
        extract(tmp_path / "page.zip", "data", tmp_path / "into")
    whole = tar(tmp_path / "whole.tar.gz", {"data/a.txt": os.urandom(50_000)}).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[:30_000])
    with pytest.raises(UserError, match=r"cut.tar.gz"):
        extract(tmp_path / "cut.tar.gz", "data", tmp_path / "into")
