"""The command line: check two prediction files, compare two models, audit a folder of predictions.

The commands that know of the pipeline (use, report, doctor, ...) come from the packages above the library, through the
entry-point group `confidistill.commands`, so that imports run downward.
"""

import codecs
import io
import math
import signal
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperGroup

from confidistill.confidence.certificate import rows_needed
from confidistill.confidence.measures import Evaluation, evaluate
from confidistill.confidence.prediction_files import read_pair
from confidistill.confidence.predictions import Predictions, from_logits
from confidistill.confidence.verdict import Protocol as ProtocolName
from confidistill.confidence.verdict import check_kappa, explained
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
Plot = Annotated[Path | None, typer.Option(help="Draw the three densities to this .png or .svg file.")]


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
    student: Annotated[Path, typer.Argument(help="The student's, for the same rows in the same order.")],
    protocol: Protocol = "definition",
    kappa: Kappa = 0.05,
    certify: Certify = False,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="No column label: sigma alone, without accuracy and ECE.")
    ] = False,
    classes: Annotated[
        str | None, typer.Option(help="Names of the classes p0, p1, ..., with commas, where labels are words.")
    ] = None,
    json_file: Json = None,
    plot: Plot = None,
) -> None:
    """Judge two prediction files (CSV or Parquet).

    Exit 0: the property holds; 1: it fails, is too close to call or not meaningful; 2: unusable input; 70: a defect of
    this program.
    """
    judged_by = _known(protocol, kappa, plot, certify=certify, unlabelled=unlabelled)
    names = [name.strip() for name in classes.split(",")] if classes else None
    both = read_pair(teacher, student, labelled=not unlabelled, classes=names)
    for note in dict.fromkeys(predictions.note for predictions in both if predictions.note):
        print(f"note: {note}", file=sys.stderr)
    _judge(*both, judged_by, kappa, certify, json_file, plot, names=(str(teacher), str(student)))


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
    _judge(*both, judged_by, kappa, certify, json_file, plot, names=(str(teacher), str(student)))


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


def _judge(
    teacher: Predictions,
    student: Predictions,
    protocol: ProtocolName,
    kappa: float,
    certify: bool,
    json_file: Path | None,
    plot: Path | None,
    names: tuple[str, str],
) -> None:
    evaluation = evaluate(teacher, student, protocol=protocol, kappa=kappa)
    measured = evaluation.measures
    certified = evaluation.verdict != "not meaningful" and measured["sigma_upper"] <= kappa
    judged = {**evaluation.judged, "certified": certified, "rows_needed": rows_needed(kappa)}
    if plot:
        _plot(teacher, student, {SPLIT: measured} | judged, plot, names)
    if json_file:
        with atomic_file(json_file) as path:
            path.write_text(json_text(measured | judged))
    print(_text(evaluation, names))
    print(explained(measured, protocol, kappa))
    if certify:
        print(_certificate(measured, kappa, certified))
    raise typer.Exit(0 if (certified if certify else evaluation.verdict == "holds") else 1)


def _certificate(measured: dict[str, Any], kappa: float, certified: bool) -> str:
    upper, rows, needed = measured["sigma_upper"], measured["examples"], rows_needed(kappa)
    if certified:
        return f"CERTIFIED: sigma <= {upper:.6f} <= kappa {kappa:g} with 95 % confidence, by {rows:,} rows"
    more = f": no bound can be from fewer than {needed:,} rows, these are {rows:,}" if rows < needed else ""
    sign = "<=" if upper <= kappa else ">"
    return f"NOT CERTIFIED: sigma <= {upper:.6f} with 95 % confidence, {sign} kappa {kappa:g}{more}"


def _plot(
    teacher: Predictions, student: Predictions, measures: dict[str, Any], path: Path, names: tuple[str, str]
) -> None:
    from confidistill.report.figures import figure2, rendered
    from confidistill.report.pair import Pair

    figure = figure2(Pair(*names, measures, {SPLIT: (teacher, student)}, {}, []), SPLIT)
    figure.suptitle(" → ".join(names), x=0.01, ha="left", size=11, weight="bold")
    with atomic_file(path) as temporary:
        temporary.write_bytes(rendered(figure, path.suffix.removeprefix(".")))


def _text(evaluation: Evaluation, names: tuple[str, str]) -> str:
    """The measures in aligned lines; `teacher -> student` where both have one."""
    measured, kappa = evaluation.measures, evaluation.kappa
    labelled = not math.isnan(measured["majority"])

    def both(name: str) -> str:
        return f"{measured[f'{name}_teacher']:.2%} -> {measured[f'{name}_student']:.2%}"

    def resampled(name: str) -> str:
        return (
            f"{measured[f'{name}_resampled_low']:.6f} to {measured[f'{name}_resampled_high']:.6f} over resampled rows"
        )

    def released() -> str:
        if math.isnan(measured["sigma_released"]):
            return "undefined: both models are right on no example"
        left_out = f"leaves out {measured['released_left_out']:.2%} of the rows"
        return f"{measured['sigma_released']:.6f}, {resampled('sigma_released')}, {left_out}"

    bounds = {name: f"{name.capitalize()} {measured[f'bound_{name}']:.4f}" for name in ("pinsker", "tight", "paper")}
    rows = {"teacher": names[0], "student": names[1], "examples": f"{measured['examples']:,}"}
    if labelled:
        rows |= {
            "majority class": f"{measured['majority']:.2%}",
            "accuracy": both("accuracy"),
            "ECE, stacked, 10 bins": both("ece"),
            "ECE, top label, 15 bins": both("ece_top_label"),
        }
    rows |= {
        "mean confidence": f"{measured['teacher_confidence']:.2%} -> {measured['student_confidence']:.2%}",
        "agreement": f"{measured['agreement']:.2%}",
        "KL(teacher || student)": f"{measured['predictive_kl']:.4f} nats",
        "sigma, definition": f"{measured['sigma']:.6f}, {resampled('sigma')}",
        "  of different class": f"{measured['sigma_flips']:.6f}, of the same class {measured['sigma_drift']:.6f}",
        "  mean delta": f"{measured['mean_delta']:+.6f}, slope of the log-odds {measured['slope']:.3f}",
        "  95 % confidence": f"{measured['sigma_low']:.6f} to {measured['sigma_high']:.6f}, one-sided: at most "
        f"{measured['sigma_upper']:.6f}",
        "": f"(valid for rows new to the student; kappa cannot be certified by fewer than {rows_needed(kappa):,})",
    }
    if labelled:
        rows |= {"sigma, released": released()}
    rows |= {
        "sigma, max confidence": f"{measured['sigma_max_confidence']:.6f}  (never judged by)",
        "bounds on sigma": f"{', '.join(bounds.values())} (protocol definition)",
    }
    return "\n".join(f"{name:<24} {value}" for name, value in rows.items())


if __name__ == "__main__":
    main()
