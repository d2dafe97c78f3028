"""A hub on this machine, which the Hugging Face client takes for the real one: one model, `someone/something`."""

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(folder: Path, before: Callable[[str], None] = lambda path: None) -> Iterator[str]:
    """The address of a web server of the folder, which is made; `before` is called with each path asked for."""
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

        def do_GET(self):
            before(self.path)
            super().do_GET()

        def end_headers(self):
            # What the hub says of a file: the client asks for these two headers.
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", '"etag"')
            super().end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def publish(folder: Path, files: dict[str, bytes]) -> Path:
    """Make the folder what the hub serves of a model that has the files; the folder of their contents.

    Of weights the hub tells the sha256.
    """
    resolve = folder / "someone" / "something" / "resolve" / COMMIT
    tree = folder / "api" / "models" / "someone" / "something" / "tree" / COMMIT
    entries = []
    for name, content in files.items():
        (resolve / name).parent.mkdir(parents=True, exist_ok=True)
        (resolve / name).write_bytes(content)
        entry = {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        if name.endswith(".safetensors"):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        entries.append(entry)
    tree.parent.mkdir(parents=True, exist_ok=True)
    tree.write_text(json.dumps(entries))
    return resolve


def settings(address: str) -> dict[str, str]:
    """The environment in which the hub's client asks the server at the address."""
    return {
        "HF_ENDPOINT": address,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
