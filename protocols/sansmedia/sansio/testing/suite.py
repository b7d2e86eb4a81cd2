"""The contract suite: the same checks for every machine, ours and yours.

Each check is a plain function that takes a case and raises AssertionError; under
pytest, parametrise over cases and `MACHINE_CHECKS`. A failing check names the case,
the rule and the input that shows it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sansmedia.sansio.contract import Terminated, TerminationCause

from .case import AnyCase, Run, cut_at_random, require
from .dice import SeededDice
from .linearity import require_linear_work, require_steady_time
from .mutation import mutate

__all__ = [
    "MACHINE_CHECKS",
    "check_any_input",
    "check_determinism",
    "check_leaves_no_cycles",
    "check_linear_time",
    "check_linear_work",
    "check_mutations",
    "check_pending_bytes",
    "check_polls_are_pure",
    "check_segmentation",
    "check_termination",
    "check_timeouts_advance",
]


def check_segmentation(case: AnyCase) -> None:
    """Check that the whole input, item by item and cut at random come to the same.

    Without commands in between: what a peer sends ahead of our answer is judged when
    it comes, and commands would come at different places.
    """
    for number, seed in enumerate(case.seeds):
        whole = _run_pieces(case, [seed])
        single = _run_pieces(case, [seed[at : at + 1] for at in range(len(seed))])
        _require_same(case, f"seed {number} item by item", whole, single)
        for cut_seed in range(3):
            pieces = cut_at_random(seed, SeededDice(cut_seed), 3 ** (cut_seed + 1))
            cut = _run_pieces(case, pieces)
            _require_same(case, f"seed {number} cut by dice {cut_seed}", whole, cut)


def _run_pieces(case: AnyCase, pieces: Sequence[Any], *, reactive: bool = False) -> Run:
    run = Run(case, reactive=reactive)
    run.drain()
    for piece in pieces:
        run.feed(piece)
        run.drain()
    return run


def _require_same(case: AnyCase, what: str, first: Run, second: Run) -> None:
    first_events, first_output = first.views()
    second_events, second_output = second.views()
    require(
        first_events == second_events,
        case.name,
        f"{what}: events differ: {first_events!r} and {second_events!r}",
    )
    require(
        first_output == second_output,
        case.name,
        f"{what}: output differs: {first_output!r} and {second_output!r}",
    )
    require(
        first.machine.is_terminated == second.machine.is_terminated,
        case.name,
        f"{what}: one is terminated, the other is not",
    )


def check_determinism(case: AnyCase) -> None:
    """Check that the same input, times and dice give the same events and output."""
    for number, seed in enumerate(case.seeds):
        traces = [_trace(case, seed) for _ in range(2)]
        require(
            traces[0] == traces[1],
            case.name,
            f"seed {number}: two runs differ: {traces[0]!r} and {traces[1]!r}",
        )


def _trace(case: AnyCase, seed: Sequence[Any]) -> list[object]:
    run = Run(case, reactive=True)
    trace: list[object] = []
    for piece in cut_at_random(seed, SeededDice(0), max(1, len(seed) // 3)):
        run.feed(piece)
        run.drain()
        trace.append(run.call("next_timeout"))
    for _ in range(4):
        if not run.fire():
            break
        run.drain()
        trace.append(run.now)
    return [*trace, run.events, run.output]


def check_polls_are_pure(case: AnyCase) -> None:
    """Check that polls only dequeue.

    On an idle machine they change nothing, and whether they are called after every
    input or once at the end makes no difference.
    """
    for number, seed in enumerate(case.seeds):
        pieces = cut_at_random(seed, SeededDice(5), max(1, len(seed) // 4))
        often = Run(case)
        seldom = Run(case)
        for piece in pieces:
            often.feed(piece)
            often.drain()
            before = _poll_state(often)
            heard, sent = often.drain()
            require(
                heard == 0 and sent == 0,
                case.name,
                f"seed {number}: a drained machine gave something without input",
            )
            require(
                before == _poll_state(often),
                case.name,
                f"seed {number}: polling an idle machine changed it",
            )
            seldom.feed(piece)
        seldom.drain()
        require(
            often.events == seldom.events and often.output == seldom.output,
            case.name,
            f"seed {number}: polling early and polling late differ",
        )


def _poll_state(run: Run) -> tuple[object, ...]:
    return (
        run.call("next_timeout"),
        run.call("statistics"),
        run.machine.is_terminated,
        run.machine.pending_bytes,
    )


def check_termination(case: AnyCase) -> None:
    """Check that every way to end gives one `Terminated`, last, then silence."""
    endings: list[tuple[str, Callable[[Run], None]]] = [("close", Run.close)]
    if Run(case).is_stream:
        endings.append(("end of input", Run.end_input))
    for number, seed in enumerate(case.seeds):
        for part in (0, len(seed) // 2, len(seed)):
            for ending, end in endings:
                run = _run_pieces(case, [seed[:part]] if part else [], reactive=True)
                end(run)
                _run_out(run)
                what = f"seed {number} up to {part}, then {ending}"
                _require_ended(run, what)
                _require_silence(run, what, seed)


def _run_out(run: Run) -> None:
    """Drain, and let time pass for a machine that says goodbye in several steps."""
    run.drain()
    for _ in range(64):
        if run.machine.is_terminated or not run.fire():
            break
        run.drain()


def _require_ended(run: Run, what: str) -> None:
    name = run.case.name
    require(run.machine.is_terminated, name, f"{what}: not terminated")
    ends = run.terminations
    require(len(ends) == 1, name, f"{what}: {len(ends)} Terminated events")
    require(
        isinstance(run.events[-1], Terminated), name, f"{what}: Terminated is not last"
    )
    violated = ends[0].cause is TerminationCause.VIOLATION
    require(
        violated == (ends[0].error is not None),
        name,
        f"{what}: the error is set if and only if the cause is VIOLATION",
    )


def _require_silence(run: Run, what: str, seed: Sequence[Any]) -> None:
    name = run.case.name
    require(
        run.machine.pending_bytes == 0,
        name,
        f"{what}: a terminated and drained machine holds bytes",
    )
    after: list[tuple[str, Callable[[], object]]] = [
        ("input", lambda: run.feed(seed)),
        ("the end of input", run.end_input),
        ("close", run.close),
        ("a timeout", lambda: run.call("handle_timeout", run.now + 1e6)),
    ]
    for stimulus, give in after:
        give()
        heard, sent = run.drain()
        require(heard == 0 and sent == 0, name, f"{what}: not silent after {stimulus}")
        require(
            run.call("next_timeout") is None,
            name,
            f"{what}: a terminated machine waits for a timeout",
        )


def check_timeouts_advance(case: AnyCase) -> None:
    """Check that `handle_timeout` moves `next_timeout` on, and is void before it."""
    for number, seed in enumerate(case.seeds):
        for part in (0, len(seed) // 3, len(seed)):
            run = _run_pieces(case, [seed[:part]] if part else [], reactive=True)
            what = f"seed {number} up to {part}"
            _require_not_early(run, what)
            for _ in range(50):
                if not run.fire():
                    break
                following = run.call("next_timeout")
                require(
                    following is None or following > run.now,
                    case.name,
                    f"{what}: due at {run.now}, and afterwards at {following}",
                )
                run.drain()


def _require_not_early(run: Run, what: str) -> None:
    deadline = run.call("next_timeout")
    if deadline is None or deadline <= run.now:
        return
    run.call("handle_timeout", run.now)
    heard, sent = run.drain()
    require(
        heard == 0 and sent == 0 and run.call("next_timeout") == deadline,
        run.case.name,
        f"{what}: handle_timeout before the deadline did something",
    )


def check_any_input(case: AnyCase, data: Sequence[Any], *, dice_seed: int = 0) -> None:
    """Check that this input, good or bad, keeps the rules; made for fuzzers.

    It is cut at random, timeouts pass in between, events are answered by ``react``,
    and in the end the machine is closed: no exception, memory within the limit, one
    `Terminated`, last.

    Args:
        case: The machine.
        data: Octets, or a tuple of datagrams.
        dice_seed: Pins the cuts and the order of things.
    """
    dice = SeededDice(dice_seed)
    run = Run(case, reactive=True)
    for piece in cut_at_random(data, dice, max(1, len(data) // 2)):
        run.feed(piece)
        run.drain()
        _require_bounded(run, "with this input")
        if dice.chance(0.1):
            run.fire()
            run.drain()
    if dice.chance(0.5):
        run.end_input()
    run.close()
    _run_out(run)
    _require_ended(run, "after this input")


def check_mutations(case: AnyCase, *, rounds: int = 100) -> None:
    """Check `check_any_input` on damaged seeds: flipped, cut, spliced, repeated."""
    dice = SeededDice(len(case.seeds))
    for number in range(rounds):
        seed = dice.choice(case.seeds)
        damaged = mutate(seed, dice.choice(case.seeds), dice)
        try:
            check_any_input(case, damaged, dice_seed=number)
        except AssertionError as error:
            raise AssertionError(f"{error} (input {damaged!r})") from error


def check_leaves_no_cycles(case: AnyCase, *, rounds: int = 20) -> None:
    """Check that an ended machine goes with its last reference, however it ended.

    A cycle keeps it until a full collection, which servers ask for rarely. The usual
    one is an error that is kept with its traceback: that knows the frames it passed,
    and they know the machine.
    """
    dice = SeededDice(1)
    damaged = [
        mutate(dice.choice(case.seeds), case.seeds[0], dice) for _ in range(rounds)
    ]
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for number, data in enumerate([*case.seeds, *damaged]):
            check_any_input(case, data, dice_seed=number)
            found = gc.collect(0)
            require(
                found == 0,
                case.name,
                f"left {found} objects in cycles (input {data!r})",
            )
    finally:
        if was_enabled:
            gc.enable()


def check_pending_bytes(case: AnyCase) -> None:
    """Check that memory stays within the case's limit and that output is counted."""
    inputs = [*case.seeds, case.bulk(20_000 if Run(case).is_stream else 200)]
    for number, data in enumerate(inputs):
        run = Run(case, reactive=True)
        for piece in cut_at_random(data, SeededDice(number), 700):
            run.feed(piece)
            held = run.machine.pending_bytes
            waiting = run.take_output()
            size = sum(
                1 if isinstance(item, int) else len(item.data) for item in waiting
            )
            require(
                held >= size,
                case.name,
                f"input {number}: pending_bytes {held}, but {size} octets to send",
            )
            run.drain()
            _require_bounded(run, f"input {number}")


def _require_bounded(run: Run, what: str) -> None:
    held = run.machine.pending_bytes
    limit = run.case.pending_limit
    require(
        0 <= held <= limit,
        run.case.name,
        f"{what}: holds {held} octets, the limit is {limit}",
    )


def check_linear_work(case: AnyCase) -> None:
    """Check that four times the input makes about four times the function calls.

    Counted, not timed. Finds input that is looked at again and again, whole and in
    the smallest pieces.
    """
    size = 2_000 if Run(case).is_stream else 50
    for longest in (1, size * 8):
        works = [
            partial(_feed_pieces, _idle(case), case.bulk(count), longest)
            for count in (size, size * 4)
        ]
        require_linear_work(f"{case.name} in pieces of {longest}", *works)


def check_linear_time(case: AnyCase, cpu_clock: Callable[[], float]) -> None:
    """Check that what was fed before does not make the next small piece dearer.

    Finds what call counts do not show: copying what is held with every piece. Sharp
    only if the case's ``bulk`` is one large message, as far as limits allow.

    Args:
        case: The machine.
        cpu_clock: Gives CPU seconds; pass `time.process_time`.
    """
    if Run(case).is_stream:
        little, much, tail, longest = 4_096, 1_000_000, 32_000, 16
    else:
        little, much, tail, longest = 10, 2_000, 500, 1
    data = case.bulk(much + tail)

    def after(prefix: int) -> Callable[[], None]:
        run = _idle(case)
        _feed_pieces(run, data[:prefix], 65_536)
        return partial(_feed_pieces, run, data[prefix : prefix + tail], longest)

    require_steady_time(
        case.name, partial(after, little), partial(after, much), cpu_clock
    )


def _idle(case: AnyCase) -> Run:
    run = Run(case, reactive=True)
    run.drain()
    return run


def _feed_pieces(run: Run, data: Sequence[Any], longest: int) -> None:
    for at in range(0, len(data), longest):
        run.feed(data[at : at + longest])
        run.drain()


MACHINE_CHECKS: tuple[Callable[[AnyCase], None], ...] = (
    check_segmentation,
    check_determinism,
    check_polls_are_pure,
    check_termination,
    check_timeouts_advance,
    check_mutations,
    check_leaves_no_cycles,
    check_pending_bytes,
    check_linear_work,
)
"""Every check that needs a case alone."""
