"""A study that outlives its process; winner, guard and verdict, on measures made up by a formula."""

import dataclasses
import math
import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import pytest

from confidistill.errors import UserError
from flows.search.job import Job
from flows.search.outcome import conclude, judgement
from flows.search.space import FIRST
from flows.search.study import WARMUP_EPOCHS, Study
from flows.search.trial import Measures, Outcome, Trial

KAPPA = 0.05


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def job(**changes) -> Job:
    facts = {
        "task": "products",
        "student": "S_2L",
        "preset": "patience",
        "held_out": False,
        "study": "s",
        "seed": 42,
        "protocol": "definition",
        "kappa": KAPPA,
        "used_seeds": frozenset({42}),
        "params": "",
        "lock": "",
        "cache": "",
        "inputs": {},
        "for_gpu": frozenset(),
        "fingerprint": "f",
    }
    return Job(**(facts | changes))


def measures(sigma: float, accuracy: float = 0.8, **splits: float) -> Measures:
    """Measures of Tr, and of every split named with its accuracy."""
    measured = {
        "sigma": sigma,
        "sigma_released": sigma / 2,
        "sigma_resampled_low": sigma * 0.9,
        "sigma_resampled_high": sigma * 1.1,
        "examples": 1000,
        "majority": 0.5,
        "accuracy_teacher": 0.9,
        "released_left_out": 0.2,
        "agreement": 0.95,
    }
    accuracies = {"train": accuracy, "dev": 0.1} | splits
    return {split: measured | {"accuracy_student": value} for split, value in accuracies.items()}


def outcome(trial: Trial) -> Outcome:
    """Sigma falls with epochs and a rate near 3e-4; a large rate costs accuracy."""
    if trial.label == "0":
        return Outcome("complete", 1.0, measures(0.2))
    rate, epochs = trial.settings["prediction.learning_rate"], trial.settings["prediction.epochs"]
    sigma = 0.3 / epochs * (1 + abs(math.log10(rate / 3e-4)))
    return Outcome("complete", 1.0, measures(sigma, 0.8 if rate < 6e-4 else 0.6))


def test_a_search_that_goes_on_draws_what_it_would_have_drawn():
    at_once = Study(job(), None)
    drawn = []
    for _ in range(15):
        trial = at_once.next()
        drawn.append(trial.settings)
        at_once.tell(int(trial.label), outcome(trial))
    again = []
    for number in range(15):
        Study(job(study="again"), None).next()  # a process that is killed before it tells anything ...
        study = Study(job(study="again"), None)  # ... and the next one
        (trial,) = study.unfinished()
        assert trial.label == str(number)
        again.append(trial.settings)
        study.tell(number, outcome(trial))
        assert study.unfinished() == []
    assert again == drawn
    assert len({str(settings) for settings in drawn}) == 15
    other = Study(job(study="other", seed=7), None)
    other.tell(0, outcome(other.next()))
    for number, known in enumerate(FIRST["patience"], start=1):
        guess = other.next()
        assert guess.settings == drawn[number] == known
        other.tell(number, outcome(guess))
    assert other.next().settings != drawn[number + 1]
    # What TPE draws once it has something to go by is better than what it drew before.
    sigmas = [trial.value for trial in at_once.findings.trials]
    assert median(sigmas[10:]) < median(sigmas[2:10])


def test_the_guard_is_of_tr_or_of_its_held_out_share_never_of_dev():
    study = Study(job(), None)
    for sigma, accuracy in ((0.2, 0.8), (0.03, 0.77), (0.04, 0.78)):
        study.tell(int(study.next().label), Outcome("complete", 1.0, measures(sigma, accuracy)))
    assert study.findings.guard_split == "train"
    assert [study.findings.trials[number].constraints for number in (0, 1, 2)] == [
        {},
        {"accuracy guard": pytest.approx(0.03 - 0.01 - 0.5 / math.sqrt(1000))},  # a point, and a standard error
        {"accuracy guard": pytest.approx(0.02 - 0.01 - 0.5 / math.sqrt(1000))},
    ]
    assert study.findings.winner.number == 2
    assert not study.findings.is_won  # two points are lost, which one seed cannot tell from one
    study.tell(int(study.next().label), Outcome("complete", 1.0, measures(0.0449, 0.795)))
    assert study.findings.winner.number == 3  # with no share held out, of those that hold by a margin the most accurate
    assert study.findings.is_won
    held_out = Study(job(study="held-out"), None)
    for sigma, accuracy, selected in ((0.2, 0.8, 0.8), (0.03, 0.8, 0.7), (0.06, 0.5, 0.8)):
        found = measures(sigma, accuracy, selection=selected)
        held_out.tell(int(held_out.next().label), Outcome("complete", 1.0, found))
    assert held_out.findings.guard_split == "selection"
    assert held_out.findings.winner.number == 0  # sigma of a student at chance says nothing
    assert not held_out.findings.is_won


def test_the_winner_is_nearest_on_what_is_held_out_not_the_most_accurate_by_luck():
    study = Study(job(), None, seeds=[1, 2])
    for sigma, there, selected in ((0.2, 0.2, 0.8), (0.02, 0.3, 0.81), (0.04, 0.1, 0.79), (0.048, 0.05, 0.8)):
        found = measures(sigma, selection=selected)
        found["selection"]["sigma"] = there
        study.tell(int(study.next().label), Outcome("complete", 1.0, found))
        if len(study.findings.trials) == 2:
            assert study.findings.is_won and study.findings.winner.number == 1
    assert study.findings.winner.number == 2  # the last holds, but not by a margin
    assert study.findings.is_won  # by the second, which loses nothing
    untuned = study.findings.trials[0]
    for seed in (1, 2):
        after = measures(0.04, selection=0.8)
        after["selection"]["sigma"] = 0.1 * seed
        study.confirm(study.findings.winner, seed, after)
        study.confirm(untuned, seed, measures(0.2, selection=0.8))
    said, restored = judgement(study.findings)
    assert restored and said.endswith("untuned student's, and sigma there 0.2000 -> 0.1500")
    text, _ = conclude(study.findings)
    assert "less than one point of accuracy on selection; the verdict" in text
    assert "on held-out text sigma is still 0.1000: what moves that" in text


def test_a_trial_that_does_worse_than_half_of_the_others_is_pruned_after_the_warm_up():
    study = Study(job(), None)
    for number in range(7):
        study.next()
        assert not study.stops(number, [0.1] * 8)
        study.tell(number, Outcome("complete", 1.0, measures(0.1)))
    bad = int(study.next().label)
    assert not study.stops(bad, [0.5] * (WARMUP_EPOCHS - 1))
    assert study.stops(bad, [0.5] * (WARMUP_EPOCHS + 1))
    study.tell(bad, Outcome("pruned", 1.0, reason="epoch 4"))
    good = int(study.next().label)
    assert not study.stops(good, [0.05] * (WARMUP_EPOCHS + 1))
    study.tell(good, Outcome("failed", 1.0, reason="no room"))
    assert [trial.state.name for trial in study.findings.trials[-2:]] == ["PRUNED", "FAIL"]
    assert study.findings.winner.number < bad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "g"}, "with other settings, data or code than there are now"),
        ({"task": "movies", "fingerprint": "g"}, "is of products-S_2L, preset patience, seed 42"),
    ],
)
def test_a_study_of_something_else_is_refused(change, message):
    Study(job(), None)
    with pytest.raises(UserError, match=message):
        Study(dataclasses.replace(job(), **change), None)


def test_with_a_held_out_objective_the_nearest_there_wins_of_those_that_hold():
    study = Study(job(held_out=True), None)
    told = []
    for sigma, held_out, accuracy in ((0.2, 0.2, 0.8), (0.04, 0.18, 0.82), (0.03, 0.19, 0.79), (0.1, 0.1, 0.8)):
        found = measures(sigma, selection=accuracy)
        found["selection"]["sigma"] = held_out
        trial = study.next()
        assert not study.stops(int(trial.label), [0.9] * 12)
        study.tell(int(trial.label), Outcome("complete", 1.0, found))
        assert not study.findings.is_won
        told.append(study.findings.winner.number)
    assert told == [0, 1, 1, 1]  # the last is nearest, but fails on Tr
    again = Study(job(held_out=True), None)
    assert again.next().label == "4"
    assert [trial.values for trial in again.findings.trials] == [[0.2, 0.2], [0.04, 0.18], [0.03, 0.19], [0.1, 0.1]]
    undefined = measures(0.01, selection=0.8)
    undefined["selection"]["sigma"] = math.nan
    again.tell(4, Outcome("complete", 1.0, undefined))
    assert again.findings.trials[-1].state.name == "FAIL"


@pytest.fixture(scope="module")
def postgresql():
    """The URL of a database of a PostgreSQL server of our own, on loopback; stopped at the end."""
    pytest.importorskip("psycopg")
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        pytest.skip("no PostgreSQL server is installed")
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to be root's
    with tempfile.TemporaryDirectory() as folder:
        if user:
            shutil.chown(folder, user)
        data = Path(folder) / "data"
        run = partial(subprocess.run, user=user, check=True, capture_output=True, cwd=folder)
        run([binaries[-1] / "initdb", "--pgdata", data, "--username", "optuna", "--auth", "trust"])
        options = f"-c listen_addresses= -c unix_socket_directories={folder}"
        server = [binaries[-1] / "pg_ctl", "--pgdata", data, "--wait", "--log", f"{folder}/log"]
        run([*server, "--options", options, "start"])
        try:
            yield f"postgresql+psycopg://optuna@/postgres?host={folder}"
        finally:
            run([*server, "--mode", "immediate", "stop"])


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_database_of_many_clones(tmp_path, database, request):
    url = f"sqlite:///{tmp_path}/study.db" if database == "sqlite" else request.getfixturevalue("postgresql")
    study = Study(job(), url)
    study.tell(0, outcome(study.next()))
    study.next()
    assert [trial.label for trial in Study(job(), url).unfinished()] == ["1"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        other = Study(job(), url)
        assert other.unfinished() == []  # it is the first clone's
        assert other.next().label == "2"
    for wrong in ("nowhere", "postgresql://user:secret@127.0.0.1:1/x", "sqlite:////nowhere/at/all.db"):
        with pytest.raises(UserError, match="--storage") as refused:
            Study(job(), wrong)
        assert "secret" not in str(refused.value)


def test_restored_is_what_holds_at_every_fresh_seed_with_the_guard_kept():
    study = Study(job(), None)
    for sigma in (0.2, 0.04):
        study.tell(int(study.next().label), Outcome("complete", 60.0, measures(sigma)))
    winner, untuned = study.findings.winner, study.findings.trials[0]
    assert study.findings.to_confirm is None
    assert judgement(study.findings)[0].startswith("NOT CONFIRMED: sigma(Tr) 0.0400 <= kappa 0.05")
    for seed, found in {1: measures(0.045), 2: measures(0.055), 3: measures(0.04, 0.71), 4: measures(0.05)}.items():
        assert Study(job(), None, seeds=[seed]).findings.to_confirm.number == winner.number
        study.confirm(winner, seed, found)
        study.confirm(untuned, seed, measures(0.2))
    study = Study(job(), None, seeds=[1, 2, 3])
    assert study.findings.confirmed[winner.number, 2]["train"]["sigma"] == 0.055
    assert study.findings.to_confirm is None
    assert judgement(study.findings) == (
        "NOT RESTORED: it holds at the search's seed, but seed 2: sigma(Tr) 0.0550 > 0.05; seeds 1, 2, 3: accuracy "
        "on Tr -3.0 points in the mean, against the untuned student's: a larger --trials goes on",
        False,
    )
    study = Study(job(), None, seeds=[1, 3, 4])
    study.confirm(untuned, 3, measures(0.2, 0.77))
    assert not study.findings.is_refuted(winner)
    assert judgement(study.findings)[0].startswith(
        "HOLDS, GUARD OPEN: sigma(Tr) <= kappa 0.05 at seeds 1, 3, 4, but accuracy on Tr -2.0 points in the mean, "
        "against the untuned student's, and 1000 rows cannot tell less than 2.6% from a point: hold out a larger share"
    )
    study.confirm(untuned, 3, measures(0.2, 0.725))  # an unlucky seed for both
    assert judgement(study.findings) == (
        "RESTORED: sigma(Tr) <= kappa 0.05 at seeds 1, 3, 4; guard kept: accuracy on Tr -0.5 points in the mean, "
        "against the untuned student's",
        True,
    )


def test_what_fresh_seeds_refute_is_passed_over_three_times():
    study = Study(job(), None, seeds=[1, 2])
    for sigma, accuracy in ((0.2, 0.8), (0.02, 0.82), (0.03, 0.81), (0.06, 0.8)):
        study.tell(int(study.next().label), Outcome("complete", 60.0, measures(sigma, accuracy)))
    for seed in (1, 2):
        study.confirm(study.findings.trials[0], seed, measures(0.2))
    assert study.findings.to_confirm.number == 1
    study.confirm(study.findings.to_confirm, 1, measures(0.051))
    assert study.findings.to_confirm.number == 1  # one seed is still to be heard
    study.confirm(study.findings.to_confirm, 2, measures(0.01))
    assert [trial.number for trial in study.findings.refuted] == [1]
    assert study.findings.is_won  # by the next best
    assert study.findings.to_confirm.number == 2
    for seed in (1, 2):
        study.confirm(study.findings.to_confirm, seed, measures(0.03, 0.76))
    assert [trial.number for trial in study.findings.refuted] == [1, 2]  # the second by its accuracy
    assert not study.findings.is_won  # so that the search goes on
    assert study.findings.to_confirm is None
    assert study.findings.winner.number == 1  # what has at least held once tells more than what never did
    study.tell(int(study.next().label), Outcome("complete", 60.0, measures(0.049, 0.8)))
    assert study.findings.to_confirm.number == 4  # no margin, but nothing else stands
    study.confirm(study.findings.to_confirm, 1, measures(0.05))
    study.confirm(study.findings.to_confirm, 2, measures(0.052))
    assert study.findings.winner.number == 1
    said, restored = judgement(study.findings)
    spent = "fresh seeds have refuted 3 trials, and confirm no more: try another --preset"
    assert said.endswith(f"seed 1: sigma(Tr) 0.0510 > 0.05: {spent}")
    assert not restored
    study.tell(int(study.next().label), Outcome("complete", 60.0, measures(0.01, 0.82)))  # another clone's
    assert study.findings.to_confirm is None
    *refuted, winner = conclude(study.findings)[0].splitlines()[:4]
    assert [line.partition(": it")[0] for line in refuted] == [f"s-{number}: REFUTED" for number in (1, 2, 4)]
    assert winner.startswith("winner: s-5: ")
    assert judgement(study.findings) == (f"NOT RESTORED: {spent}", False)


def test_what_is_left_in_results(tmp_path):
    study = Study(job(study="r"), None)
    study.tell(int(study.next().label), Outcome("complete", 60.0, measures(0.2)))
    study.next()
    study.tell(1, Outcome("complete", 60.0, measures(0.09, 0.81)))
    study.next()
    study.tell(2, Outcome("pruned", 20.0, reason="epoch 4"))
    text, restored = conclude(study.findings)
    assert not restored
    assert "NOT RESTORED: the least sigma(Tr) with the guard kept" in text
    assert "σ Tr                   0.2000 → 0.0900" in text
    written = sorted(path.name for path in (tmp_path / "results" / "search").iterdir())
    tables = [f"r-table3.{suffix}" for suffix in ("csv", "html", "md", "tex")]
    assert written == sorted([*tables, "r.csv", "r.png", "r.svg"])
    rows = (tmp_path / "results" / "search" / "r.csv").read_text().splitlines()
    assert [row.split(",")[2] for row in rows] == ["state", "complete", "complete", "pruned"]
