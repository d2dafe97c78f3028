"""The command line: check two prediction files, compare two models, audit a folder of predictions.

The commands that know of the pipeline (use, report, doctor, ...) come from the packages above the library, through the
entry-point group `confidistill.commands`, so that imports run downward.
"""

import codecs
import io
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperGroup

from confidistill.confidence import rendering
from confidistill.confidence.certificate import rows_needed
from confidistill.confidence.checking import check_files
from confidistill.confidence.judgement import Verdict
from confidistill.confidence.measures import evaluate
from confidistill.confidence.prediction_files import read_pair
from confidistill.confidence.predictions import Predictions, from_logits
from confidistill.confidence.verdict import Protocol as ProtocolName
from confidistill.confidence.verdict import check_kappa
from confidistill.errors import UserError, exits_cleanly, installed_by
from confidistill.files import atomic_file, json_text

PLUGINS = "confidistill.commands"
UNUSABLE: dict[str, Any] = {
    "help": "Of the pipeline, which is not installed here.",
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True},
}
PLOTS = (".png", ".svg")
PLAIN = {"σ": "s", "κ": "k", "δ": "d", "≤": "<", "→": ">", "─": "-", "–": "-", "·": "."}
SPLIT = "train"  # what the property is judged on; here, whatever file was given
Protocol = Annotated[str, typer.Option(help="Which reading of delta and sigma judges: definition or released.")]
Kappa = Annotated[float, typer.Option(help="The property holds where sigma <= kappa; between 0 and 1.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write every measure to this file.")]
Certify = Annotated[
    bool,
    typer.Option("--certify", help="Exit 0 only if sigma <= kappa for all text like this, with 95 % confidence."),
]
Markdown = Annotated[Path | None, typer.Option(help="Write the table as Markdown to this file, for a job's summary.")]
Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML to this file, a test case a student.")]
Plot = Annotated[
    Path | None, typer.Option(help="Draw the three densities to this .png or .svg file; reads all rows into memory.")
]


class _Commands(TyperGroup):
    """Commands of this module, then those of the entry-point group, imported when they are asked for.

    Those are the pipeline's, which is a clone of the repository and in no wheel: elsewhere they say so.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *sorted(entry.name for entry in entry_points(group=PLUGINS))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if command := super().get_command(ctx, cmd_name):
            return command
        for entry in entry_points(group=PLUGINS, name=cmd_name):
            plugin = typer.Typer()
            try:
                plugin.command(cmd_name)(entry.load())
            except ModuleNotFoundError as error:
                plugin.command(cmd_name, **UNUSABLE)(_without(error, entry))
            return typer.main.get_command(plugin)
        return None


def _without(error: ModuleNotFoundError, entry: EntryPoint) -> Callable[[], None]:
    """A command that cannot be imported: it is listed, and says what it lacks."""
    package = (error.name or "").partition(".")[0]
    if package == entry.module.partition(".")[0]:
        lacks = "it is the pipeline's, which is a clone of the repository: run it where `make demo` has installed one"
    else:
        lacks = f"the package {package!r} is not installed: `pip install {installed_by(package)}`"

    def command() -> None:
        raise UserError(f"confidistill {entry.name}: {lacks}")

    return command


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Is the small model as sure as the big one, input by input?",
)


@app.command()
def check(
    teacher: Annotated[Path, typer.Argument(help="Predictions: p0..pK or logit0..logitK, and label.")],
    students: Annotated[list[Path], typer.Argument(help="One student's or several', for the same rows in that order.")],
    protocol: Protocol = "definition",
    kappa: Kappa = 0.05,
    certify: Certify = False,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="No column label: sigma alone, without accuracy and ECE.")
    ] = False,
    classes: Annotated[
        str | None, typer.Option(help="Names of the classes p0, p1, ..., with commas, where labels are words.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="A column: sigma of the rows of each of its values.")] = None,
    json_file: Json = None,
    markdown: Markdown = None,
    junit: Junit = None,
    plot: Plot = None,
) -> None:
    """Judge prediction files (CSV, TSV, JSON lines, Parquet, a folder of `datasets`).

    Exit 0: the property holds, for every student; 1: it fails, is too close to call or not meaningful; 2: unusable
    input; 70: a defect of this program. Files are read in batches, so that they may be larger than memory.
    """
    judged_by = _known(protocol, kappa, plot, certify=certify, unlabelled=unlabelled)
    if plot and len(students) > 1:
        raise UserError(f"{plot}: a plot is of one student: draw each by itself")
    names = [name.strip() for name in classes.split(",")] if classes else None
    labelled = not unlabelled
    verdicts = check_files(teacher, students, protocol=judged_by, kappa=kappa, labelled=labelled, classes=names, by=by)
    if plot:
        _plot(read_pair(teacher, students[0], labelled=labelled, classes=names), verdicts[0], plot)
    _finish(verdicts, certify, json_file, markdown, junit)


@app.command()
def compare(
    teacher: Annotated[Path, typer.Option(help="A Hugging Face sequence classifier's folder, or an ONNX file.")],
    student: Annotated[Path, typer.Option(help="Another, with the same classes.")],
    data: Annotated[Path, typer.Option(help="Your table: CSV, TSV, JSON lines or Parquet.")],
    text: Annotated[str, typer.Option(help="Its text column.")],
    label: Annotated[str, typer.Option(help="Its label column: class names or ids.")],
    text_pair: Annotated[str | None, typer.Option(help="Its second text column, for pair tasks.")] = None,
    max_length: Annotated[int, typer.Option(min=2, help="Longest input in tokens.")] = 128,
    protocol: Protocol = "definition",
    kappa: Kappa = 0.05,
    certify: Certify = False,
    json_file: Json = None,
    markdown: Markdown = None,
    junit: Junit = None,
    plot: Plot = None,
) -> None:
    """Judge two models on your own table. Exit codes as of `check`.

    Classes are matched by their names, which id2label in config.json gives, in whatever order a model has them. Each
    model has a tokenizer of its own. An ONNX file has config.json and tokenizer.json beside it; it needs no torch.
    """
    judged_by = _known(protocol, kappa, plot, certify=certify)
    from confidistill.classifiers import open_classifier
    from confidistill.text.table import encode_labels, read_table

    models = [open_classifier(folder, max_length=max_length) for folder in (teacher, student)]
    names, others = (model.class_names for model in models)
    if sorted(names) != sorted(others):
        raise UserError(
            f"{teacher} has the classes {', '.join(names)}, {student} has {', '.join(others)}: "
            "give both the same names, in id2label of config.json"
        )
    table = read_table(data, text=text, text_pair=text_pair, label=label)
    ids = [str(index) for index in range(len(names))]
    given = set(table["label"])
    table = encode_labels(table, ids if given <= set(ids) and not given <= set(names) else names, data)
    labels = table["label"].to_numpy()
    order = [others.index(name) for name in names]  # of the student's logits, by the teacher's classes
    teacher_logits, student_logits = (model.logits(table) for model in models)
    both = from_logits(teacher_logits, labels), from_logits(student_logits[:, order], labels)
    verdict = replace(evaluate(*both, protocol=judged_by, kappa=kappa), teacher=str(teacher), student=str(student))
    if plot:
        _plot(both, verdict, plot)
    _finish([verdict], certify, json_file, markdown, junit)


@app.command()
def audit(
    folder: Annotated[Path, typer.Argument(help="<TASK>/{teacher,student-...}/{train,dev}.csv")],
    protocol: Protocol = "definition",
    kappa: Kappa = 0.05,
    output: Annotated[Path | None, typer.Option(help="Write the table here: .csv, .md or .json.")] = None,
    tuned: Annotated[
        Path | None, typer.Option(help="Write untuned against tuned here, as in Table 3: .csv, .md, .tex or .html.")
    ] = None,
) -> None:
    """Tabulate a folder of teachers' and students' predictions: every pair, both protocols, verdicts.

    A pair that cannot be audited is named with the reason when the others have been; then the exit code is 2, else 0.
    """
    judged_by = _known(protocol, kappa)
    from confidistill.report.audit import audit_folder, render, write, write_tuned

    audited = audit_folder(folder, protocol=judged_by, kappa=kappa)
    if output:
        write(audited.table, output)
    if tuned:
        write_tuned(audited.tuned, tuned)
    print(render(audited, judged_by, kappa))
    for problem in audited.problems:
        print(f"not audited: {problem}", file=sys.stderr)
    if audited.problems:
        raise typer.Exit(2)


@exits_cleanly
def main() -> None:
    """The console script. A reader that goes away ends it quietly, as it does other Unix tools."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")  # a terminal of ASCII gets the tables all the same
    try:
        app()
    finally:
        sys.stdout.flush()  # here, where a full disk is still told in one line


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that the terminal has not, one for one, so that tables stay aligned."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end


def _known(
    protocol: str, kappa: float, plot: Path | None = None, *, certify: bool = False, unlabelled: bool = False
) -> ProtocolName:
    """The protocol, if there is one of that name and what is asked for can be done."""
    check_kappa(kappa)
    if plot and plot.suffix not in PLOTS:
        raise UserError(f"{plot}: a plot is a {' or '.join(PLOTS)} file")
    if plot and not find_spec("matplotlib"):
        raise UserError(f"{plot}: a plot needs matplotlib: `pip install {installed_by('matplotlib')}`")
    known: tuple[ProtocolName, ...] = get_args(ProtocolName)
    if protocol not in known:
        raise UserError(f"unknown protocol {protocol!r}: use {' or '.join(known)}")
    if protocol != "definition" and (certify or unlabelled):
        option = "--certify" if certify else "--unlabelled"
        raise UserError(
            f"{option}: protocol {protocol!r} looks only at rows that both models get right: use definition"
        )
    return known[known.index(protocol)]


def _finish(
    verdicts: Sequence[Verdict], certify: bool, json_file: Path | None, markdown: Path | None, junit: Path | None
) -> None:
    """Write what is asked for, print, and exit by whether every student passes."""
    told = [_certificate(verdict) if certify else verdict.explained for verdict in verdicts]
    passed = [verdict.certified if certify else verdict.outcome == "holds" for verdict in verdicts]
    written: dict[Path, str] = {}
    if json_file:
        results = {verdict.student: verdict.to_dict() for verdict in verdicts}
        one = len(verdicts) == 1
        written[json_file] = json_text(verdicts[0].to_dict() if one else {"students": results})
    if markdown:
        written[markdown] = rendering.markdown(verdicts, told)
    if junit:
        written[junit] = rendering.junit(verdicts, told, passed)
    for target, content in written.items():
        with atomic_file(target) as path:
            path.write_text(content, encoding="utf-8")
    for note in dict.fromkeys(note for verdict in verdicts for note in verdict.notes):
        print(f"note: {note}", file=sys.stderr)
    if len(verdicts) == 1:
        print(verdicts[0])
        if certify:
            print(*told)
    else:
        print(f"teacher: {verdicts[0].teacher}", rendering.summary(verdicts), "", sep="\n")
        for verdict, line in zip(verdicts, told, strict=True):
            print(f"{verdict.student}: {line}")
    raise typer.Exit(0 if all(passed) else 1)


def _certificate(verdict: Verdict) -> str:
    upper, rows, kappa = verdict.sigma_upper, verdict.examples, verdict.kappa
    needed = rows_needed(kappa)
    if verdict.certified:
        return f"CERTIFIED: sigma <= {upper:.6f} <= kappa {kappa:g} with 95 % confidence, by {rows:,} rows"
    more = f": no bound can be from fewer than {needed:,} rows, these are {rows:,}" if rows < needed else ""
    sign = "<=" if upper <= kappa else ">"
    return f"NOT CERTIFIED: sigma <= {upper:.6f} with 95 % confidence, {sign} kappa {kappa:g}{more}"


def _plot(pair: tuple[Predictions, Predictions], verdict: Verdict, path: Path) -> None:
    from confidistill.report.figures import figure2, rendered
    from confidistill.report.pair import Pair

    names = verdict.teacher, verdict.student
    figure = figure2(Pair(*names, {SPLIT: verdict.measures} | verdict.judged, {SPLIT: pair}, {}, []), SPLIT)
    figure.suptitle(" → ".join(names), x=0.01, ha="left", size=11, weight="bold")
    with atomic_file(path) as temporary:
        temporary.write_bytes(rendered(figure, path.suffix.removeprefix(".")))


if __name__ == "__main__":
    main()
