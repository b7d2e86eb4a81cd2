"""What filters are taken: libsrt packet-filtering-and-fec.md §Configuration."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError
from sansmedia.srt.limits import Limits
from sansmedia.srt.packet_filter import (
    make_filter_receiver,
    make_filter_sender,
    negotiate,
    parse_filter,
)


@pytest.mark.parametrize(
    "text",
    [
        "fec",
        "fec,cols:2",
        "fec,cols:10,rows:5,layout:even,arq:always",
        "fec,rows:-2",
        "fec,rows:1,arq:never",
        "fec,cols:",  # an empty value counts as none
        "fec,cols:10x,rows: 5",  # numbers as C reads them
        "fec,cols:5,cols:6",
    ],
)
def test_what_libsrt_takes_is_taken(text: str) -> None:
    config = parse_filter(text)
    assert parse_filter(str(config)) == config


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FEC,cols:10",
        "adaptive",
        "fec,",
        "fec,cols",
        "fec,cols:5:6",
        "fec,cols:1",
        "fec,cols:x",
        "fec,cols:-5",
        "fec,rows:0",
        "fec,rows:-1",
        "fec,rows:x",
        "fec,layout:Even",
        "fec,arq:sometimes",
        "fec,type:fec",
        "fec,:5",
    ],
)
def test_what_libsrt_refuses_is_refused(text: str) -> None:
    # libsrt packet-filtering-and-fec.md §Configuring the FEC filter.
    with pytest.raises(ProtocolError) as caught:
        parse_filter(text)
    assert caught.value.code == "filter"


def test_a_configuration_is_written_with_its_keys_in_order() -> None:
    config = parse_filter("fec,rows:5,layout:even,cols:10")
    assert str(config) == "fec,cols:10,layout:even,rows:5"
    assert str(config.complete()) == "fec,arq:onreq,cols:10,layout:even,rows:5"


# The tables of libsrt API-socket-options.md §List of options, with the layout that
# libsrt takes (tests/data/srt/fec-default).
@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        ("", "", ""),
        ("fec,cols:10", "", ""),
        ("", "fec,cols:10", "fec,cols:10"),
        ("fec,cols:10", "fec", "fec,arq:onreq,cols:10,layout:staircase,rows:1"),
        (
            "fec,cols:10",
            "fec,cols:10,rows:20",
            "fec,arq:onreq,cols:10,layout:staircase,rows:20",
        ),
        (
            "fec,layout:even",
            "fec,cols:10",
            "fec,arq:onreq,cols:10,layout:even,rows:1",
        ),
    ],
)
def test_a_listener_adds_to_what_the_caller_sets(
    ours: str, theirs: str, agreed: str
) -> None:
    assert negotiate(ours, theirs) == agreed


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("", "fec"),
        ("fec,rows:20,arq:never", "fec,layout:even"),
        ("fec,cols:20", "fec,cols:10"),
        ("fec,cols:20,rows:20", "fec,cols:20,rows:10"),
        ("fec,cols:10", "fec,cols:010"),
        ("", "loss,cols:10"),
        ("", "fec,cols:10,rows:0"),
        ("", "fec,cols:" + "0" * 60 + "10"),
    ],
)
def test_a_listener_refuses_what_does_not_fit(ours: str, theirs: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        negotiate(ours, theirs)
    assert caught.value.code == "filter"


def test_a_caller_obeys_the_answer() -> None:
    agreed = negotiate("fec,cols:10,rows:5", "fec,cols:8,arq:never", initiator=True)
    assert agreed == "fec,arq:never,cols:8,rows:5"
    assert negotiate("", "fec,cols:8", initiator=True) == "fec,cols:8"


def test_a_caller_that_wants_a_filter_gets_one_or_no_connection() -> None:
    with pytest.raises(ProtocolError) as caught:
        negotiate("fec,cols:10", "", initiator=True)
    assert caught.value.code == "filter"


def test_in_rendezvous_both_mean_the_same() -> None:
    ours = "fec,cols:10,rows:5"
    same = "fec,arq:onreq,cols:10,layout:staircase,rows:5"
    for theirs in (ours, same):
        for initiator in (False, True):
            agreed = negotiate(ours, theirs, rendezvous=True, initiator=initiator)
            assert agreed == theirs
    with pytest.raises(ProtocolError):
        negotiate(ours, "fec,cols:10", rendezvous=True)
    assert negotiate("", ours, rendezvous=True) == ours


def test_a_matrix_that_costs_too_much_is_refused() -> None:
    limits = Limits(filter_matrix=50)
    assert negotiate("", "fec,cols:10,rows:-5", limits=limits)
    for theirs in ("fec,cols:10,rows:-6", "fec,cols:51"):
        with pytest.raises(ProtocolError):
            negotiate("", theirs, limits=limits)
        with pytest.raises(ProtocolError):
            make_filter_receiver(theirs, initial_sequence=0, limits=limits)
        with pytest.raises(ProtocolError):
            make_filter_sender(
                theirs, initial_sequence=0, payload_size=1316, limits=limits
            )


def test_columns_must_fit_into_the_index_that_names_them() -> None:
    assert negotiate("", "fec,cols:255,rows:2")
    assert negotiate("", "fec,cols:1000")
    with pytest.raises(ProtocolError):
        negotiate("", "fec,cols:256,rows:2")


@given(st.text("fec,:colsrwayut 0123456789-", max_size=40), st.booleans())
def test_no_text_breaks_the_negotiation(text: str, initiator: bool) -> None:
    for theirs in (text, f"fec,cols:{text}"):
        with contextlib.suppress(ProtocolError):
            agreed = negotiate("fec,cols:5", theirs, initiator=initiator)
            if agreed:
                make_filter_receiver(agreed, initial_sequence=0)
