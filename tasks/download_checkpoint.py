"""Fetch the published checkpoint that a student starts from, if it starts from one."""

from pathlib import Path

from tasks.entry import stage
from tasks.fetching import fetch_named
from tasks.params import Params


@stage
def main(params: Params, student: str) -> None:
    key = f"students.{student}.checkpoint"
    fetch_named(params, params.student(student).checkpoint, Path("models/checkpoint") / student, key=key)


if __name__ == "__main__":
    main()
