"""The Prefect server may be away for a while: it is asked again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx
from prefect.exceptions import PrefectHTTPStatusError

from confidistill.errors import UserError

AWAY = (httpx.TransportError, PrefectHTTPStatusError)
RETRY_SECONDS = 2.0
GIVE_UP_SECONDS = 30 * 60
T = TypeVar("T")


def patiently(ask: Callable[[], T], log: Callable[[str], object]) -> T:
    """The answer of the server to `ask`, again and again for half an hour where it is away.

    Raises:
        httpx.TransportError, PrefectHTTPStatusError: it is still away, or it says that the request is wrong.
    """
    started = time.monotonic()
    told = False
    while True:
        try:
            return ask()
        except AWAY as error:
            wrong = isinstance(error, PrefectHTTPStatusError) and error.response.status_code < 500
            if wrong or time.monotonic() - started > GIVE_UP_SECONDS:
                raise
            if not told:
                log(f"the Prefect server does not answer ({type(error).__name__}): waiting for it")
                told = True
            time.sleep(RETRY_SECONDS)


@contextmanager
def reached() -> Iterator[None]:
    """A flow is run in the block: a server that PREFECT_API_URL names and that isn't there is a user's mistake.

    Raises:
        UserError: it is not there.
    """
    try:
        yield
    except RuntimeError as error:
        if "Failed to reach API" not in str(error):
            raise
        raise UserError(f"{error}: start the Prefect server there, or unset PREFECT_API_URL") from None
