"""Fetch the model that teachers start from, and the masked LM of the augmentation."""

from pathlib import Path

from tasks.base import FETCHED, check_fit, read_base
from tasks.entry import stage
from tasks.fetching import fetch_named
from tasks.params import Params


@stage
def main(params: Params) -> None:
    fetch_named(params, params.models.base, FETCHED, key="models.base")
    check_fit(params, read_base(FETCHED))  # before a teacher is trained that no student can learn from
    fetch_named(params, params.models.mlm, Path("models/mlm"), key="models.mlm")


if __name__ == "__main__":
    main()
