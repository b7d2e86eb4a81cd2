"""SRTP and SRTCP: packets protected under keys that DTLS or signalling agreed on.

`SrtpSender` for what leaves, `SrtpReceiver` for what comes; both know many sources.
Needs the extra ``crypto``.
"""

from .limits import Limits
from .profiles import (
    MasterKey,
    ProtectionProfile,
    SessionKeys,
    derive_session_keys,
    split_keying_material,
)
from .receiver import ReceiverStatistics, SrtpReceiver
from .sender import SrtpSender

__all__ = [
    "Limits",
    "MasterKey",
    "ProtectionProfile",
    "ReceiverStatistics",
    "SessionKeys",
    "SrtpReceiver",
    "SrtpSender",
    "derive_session_keys",
    "split_keying_material",
]
