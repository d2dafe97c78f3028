"""One Markdown table of the ratios in results/bench/*.json: results/bench/README.md.

python -m bench.table
"""

from bench.results import FOLDER, HEADER, Row, line, read, settings_line
from confidistill.errors import UserError, exits_cleanly
from confidistill.files import atomic_file

INTRODUCTION = """\
# What was measured

Written by `python -m bench.table` from the files beside it, one a bench. × is the first figure over the second, the
median over rounds in turn on one machine: of rates more is better, of seconds and MiB less.
"""


@exits_cleanly
def main() -> None:
    paths = sorted(FOLDER.glob("*.json"))
    if not paths:
        raise UserError(f"{FOLDER}: nothing was measured here yet: python -m bench")
    found = [read(path) for path in paths]
    head = "\n".join(map(str.__add__, ("| bench ", "|:--"), HEADER.splitlines()))
    rows = [
        f"| {each['bench']} {line(Row(**row))}" for each in found for row in each["rows"] if row["ratio"] is not None
    ]
    settings = [f"- {each['bench']}: {settings_line(each['settings'])}" for each in found]
    text = "\n".join([INTRODUCTION, head, *rows, "", *settings, ""])
    with atomic_file(FOLDER / "README.md") as path:
        path.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
