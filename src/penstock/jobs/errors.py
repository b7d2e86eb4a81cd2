"""The one way in which a job is refused."""

from __future__ import annotations

import enum

__all__ = ["JobError", "JobErrorCode"]


class JobErrorCode(enum.Enum):
    """What is wrong with a job."""

    EMPTY_ID = "empty_id"
    TOO_LARGE = "too_large"
    BAD_CHARACTER = "bad_character"
    NO_INPUT = "no_input"
    NO_OUTPUT = "no_output"
    REFERENCE = "reference"
    EMPTY_INPUT_ID = "empty_input_id"
    DUPLICATE_INPUT_ID = "duplicate_input_id"
    EMPTY_INPUT_ADDRESS = "empty_input_address"
    INPUT_ADDRESS = "input_address"
    EMPTY_OUTPUT_ID = "empty_output_id"
    DUPLICATE_OUTPUT_ID = "duplicate_output_id"
    EMPTY_OUTPUT_ADDRESS = "empty_output_address"
    OUTPUT_ADDRESS = "output_address"
    OPTION = "option"
    UNKNOWN = "unknown"
    EXISTS = "exists"
    LIMIT = "limit"
    NOT_KEPT = "not_kept"


class JobError(Exception):
    """A job that cannot be made; the text is one sentence for a person.

    Args:
        code: What is wrong.
        message: The sentence; it names the job, the input or output and the value.
    """

    def __init__(self, code: JobErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
