"""What all tests share: async tests run under trio, where trio is installed.

The libraries' tests also run in an environment without it, so this is no setting of
pytest's configuration: there, an unknown setting is an error.
"""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("pytest_trio") is not None:
    from pytest_trio.enable_trio_mode import *  # noqa: F403
