"""Our side of the transport, as descriptions have it."""

from __future__ import annotations

from sansmedia.ice import IceAgent, encode_candidate
from sansmedia.sdp import Fingerprint, Setup, Transport

from .config import PeerConfig

__all__ = ["own_transport"]


def own_transport(
    config: PeerConfig, ice: IceAgent, setup: Setup | None, *, end: bool
) -> Transport:
    """Return what an offer or an answer says of us.

    Args:
        config: Our side.
        ice: Has the credentials and the candidates.
        setup: Which role of DTLS we take.
        end: Whether there will be no more candidates.
    """
    algorithm, _, digest = str(config.certificate.fingerprint()).partition(" ")
    return Transport(
        ice_ufrag=ice.local_ufrag,
        ice_pwd=ice.local_pwd,
        ice_options=("trickle", "ice2"),
        ice_lite=config.ice.lite,
        fingerprints=(Fingerprint(algorithm, digest),),
        setup=setup,
        candidates=tuple(
            encode_candidate(candidate) for candidate in ice.local_candidates
        ),
        end_of_candidates=end,
    )
