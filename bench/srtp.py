"""Measure SRTP for each profile and back end, in µs per packet of 1,200 octets.

`run` is `SrtpSender.seal_run` with ten packets at a time, as a viewer is sent a
picture; `protect` is whole packets one by one; `open` is `SrtpReceiver.unprotect_rtp`
with ten at a time. libsrtp is driven through pylibsrtp, packet by packet, which is all
that it offers. Nothing is kept: fresh memory would cost more than the difference.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import pylibsrtp
from sansmedia.rtp import encode_header
from sansmedia.srtp import ProtectionProfile, SrtpReceiver, SrtpSender

SIZE = 1_200
RUN = 10

LIBSRTP = {
    ProtectionProfile.AES128_CM_HMAC_SHA1_80: "SRTP_PROFILE_AES128_CM_SHA1_80",
    ProtectionProfile.AES128_CM_HMAC_SHA1_32: "SRTP_PROFILE_AES128_CM_SHA1_32",
    ProtectionProfile.AEAD_AES_128_GCM: "SRTP_PROFILE_AEAD_AES_128_GCM",
    ProtectionProfile.AEAD_AES_256_GCM: "SRTP_PROFILE_AEAD_AES_256_GCM",
}


class Packets:
    """The same packets in the forms that each way takes."""

    def __init__(self, count: int) -> None:
        payload = os.urandom(SIZE - 12)
        pairs = [(encode_header(96, at, 0, 1), payload) for at in range(count)]
        self.runs = [pairs[at : at + RUN] for at in range(0, count, RUN)]
        self.whole = [header + body for header, body in pairs]


def seal_runs(sender: SrtpSender, packets: Packets) -> None:
    """Seal all in runs."""
    for number, run in enumerate(packets.runs):
        sender.seal_run(run, number * RUN)


def call_each(process: Callable[[bytes], bytes], packets: list[bytes]) -> None:
    """Process all one by one."""
    for packet in packets:
        process(packet)


def open_all(receiver: SrtpReceiver, sealed: list[bytes]) -> None:
    """Open all in batches."""
    for at in range(0, len(sealed), RUN):
        opened = receiver.unprotect_rtp(sealed[at : at + RUN])
        assert None not in opened


def best(prepare: Callable[[], Callable[[], object]], count: int) -> float:
    """Return µs per packet, the best of five."""
    least = float("inf")
    for _ in range(5):
        work = prepare()
        start = time.process_time()
        work()
        least = min(least, time.process_time() - start)
    return least / count * 1e6


def measure(profile: ProtectionProfile, packets: Packets) -> list[float]:
    """Return µs for run, protect and open."""
    master = os.urandom(profile.key_size), os.urandom(profile.salt_size)
    sender = SrtpSender(profile, *master)
    sealed = [sender.protect_rtp(packet) for packet in packets.whole]
    count = len(packets.whole)

    def run() -> Callable[[], object]:
        sender = SrtpSender(profile, *master)
        return lambda: seal_runs(sender, packets)

    def protect() -> Callable[[], object]:
        sender = SrtpSender(profile, *master)
        return lambda: call_each(sender.protect_rtp, packets.whole)

    def opening() -> Callable[[], object]:
        receiver = SrtpReceiver(profile, *master)
        return lambda: open_all(receiver, sealed)

    return [best(run, count), best(protect, count), best(opening, count)]


def measure_libsrtp(profile: ProtectionProfile, packets: Packets) -> list[float]:
    """Return µs for protect and open."""
    policy = pylibsrtp.Policy
    key = os.urandom(profile.key_size + profile.salt_size)

    def session(kind: int) -> pylibsrtp.Session:
        settings = policy(
            key=key, ssrc_type=kind, srtp_profile=getattr(policy, LIBSRTP[profile])
        )
        return pylibsrtp.Session(settings)

    sender = session(policy.SSRC_ANY_OUTBOUND)
    sealed = [sender.protect(packet) for packet in packets.whole]
    count = len(sealed)

    def protect() -> Callable[[], object]:
        sender = session(policy.SSRC_ANY_OUTBOUND)
        return lambda: call_each(sender.protect, packets.whole)

    def opening() -> Callable[[], object]:
        receiver = session(policy.SSRC_ANY_INBOUND)
        return lambda: call_each(receiver.unprotect, sealed)

    return [best(protect, count), best(opening, count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=20_000)
    packets = Packets(parser.parse_args().packets // RUN * RUN)
    print("profile                  back end        run  protect   open")
    for profile in ProtectionProfile:
        sealing, protecting, opening = measure(profile, packets)
        print(
            f"{profile.name:23}  cryptography  {sealing:5.2f}  {protecting:7.2f}"
            f"  {opening:5.2f}"
        )
        if profile in LIBSRTP:
            protecting, opening = measure_libsrtp(profile, packets)
            print(f"{'':23}  libsrtp              {protecting:7.2f}  {opening:5.2f}")


if __name__ == "__main__":
    main()
