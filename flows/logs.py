"""Prefect's logs in one line where nothing is defective: a stage that fails and a remote that is away have said why."""

import logging

from prefect.exceptions import FailedRun

from confidistill.errors import UserError


class StageError(Exception):
    """A stage's command, or a transfer of its files, has failed; the message is one line."""


class OneLine(logging.Filter):
    """No traceback with these errors, and nothing more where a flow has ended as failed after it said why."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, StageError | UserError):
            record.exc_info = None
        return not isinstance(error, FailedRun)


for name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(name).addFilter(OneLine())
