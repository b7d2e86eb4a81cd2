"""Why a job is refused, in the words of the API."""

from __future__ import annotations

from typing import Final

from penstock.control.jobs import JobCommand, JobError, JobErrorCode

from .answers import Failure

__all__ = [
    "command_failure",
    "create_failure",
    "delete_failure",
    "metadata_failure",
    "query_failure",
    "update_failure",
]

_UNKNOWN: Final = "unknown process"
_NO_ID: Final = "Unknown process ID"
_NOT_OF_THE_CONFIG: Final = (
    JobErrorCode.UNKNOWN,
    JobErrorCode.LIMIT,
    JobErrorCode.NOT_KEPT,
)


def query_failure(error: JobError) -> Failure:
    """Return the refusal of a query: nobody has the id."""
    return _failure(error, 404, _NO_ID)


def create_failure(error: JobError) -> Failure:
    """Return the refusal of a new process."""
    return _failure(error, 400, "Invalid process config")


def update_failure(error: JobError, job_id: str) -> Failure:
    """Return the refusal of a change; ``job_id`` is the one that was asked for."""
    if error.code is JobErrorCode.UNKNOWN:
        return Failure(404, "Process not found", job_id)
    return _failure(error, 400, "Process can't be updated")


def command_failure(error: JobError, command: JobCommand) -> Failure:
    """Return the refusal of a command; here an unknown id is a bad request too."""
    is_start = command in (JobCommand.START, JobCommand.RESTART)
    if is_start and error.code not in _NOT_OF_THE_CONFIG:
        # Its state tells why.
        return Failure(400, "Command failed", "invalid process definition")
    return _failure(error, 400, "Command failed")


def delete_failure(error: JobError) -> Failure:
    """Return the refusal to delete."""
    if error.code is JobErrorCode.UNKNOWN:
        return query_failure(error)
    return Failure(500, "Process can't be deleted", error.message)


def metadata_failure(error: JobError) -> Failure:
    """Return the refusal to keep a value."""
    if error.code is JobErrorCode.TOO_LARGE:
        return Failure(400, "Invalid metadata", error.message)
    return query_failure(error)


def _failure(error: JobError, status: int, message: str) -> Failure:
    if error.code is JobErrorCode.NOT_KEPT:
        # The client has done nothing wrong.
        return Failure(500, "Internal Server Error", error.message)
    if error.code is JobErrorCode.UNKNOWN:
        return Failure(status, message, _UNKNOWN)
    return Failure(status, message, error.message)
