"""The three forms of a date in HTTP, read without a locale."""

from __future__ import annotations

import calendar
import re
import time

__all__ = ["decode_http_date", "encode_http_date"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_LONG_DAYS = ("Mon", "Tues", "Wednes", "Thurs", "Fri", "Satur", "Sun")

# RFC 9110 §5.6.7: IMF-fixdate / rfc850-date / asctime-date. `[0-9]`, because `\d` takes
# the digits of all scripts.
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"(?:{'|'.join(_DAYS)}), (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}})"
        rf" {_TIME} GMT",
        rf"(?:{'|'.join(_LONG_DAYS)})day, (?P<day>[0-9]{{2}})-{_MONTH}-"
        rf"(?P<short_year>[0-9]{{2}}) {_TIME} GMT",
        rf"(?:{'|'.join(_DAYS)}) {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} "
        rf"(?P<year>[0-9]{{4}})",
    )
)


def encode_http_date(seconds: float) -> str:
    """Return Unix seconds as IMF-fixdate, rounded down.

    Source: RFC 9110 §5.6.7.
    """
    when = time.gmtime(int(seconds // 1))
    return (
        f"{_DAYS[when.tm_wday]}, {when.tm_mday:02} {_MONTHS[when.tm_mon - 1]} "
        f"{when.tm_year:04} {when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02} GMT"
    )


def decode_http_date(text: str, now: float) -> int | None:
    """Return a date as Unix seconds, None if it is none.

    Args:
        text: In any of the three forms; the day of the week may be a wrong one.
        now: Unix seconds: a year of two digits that seems more than 50 years ahead was
            meant a century ago.

    Source: RFC 9110 §5.6.7.
    """
    for form in _FORMS:
        if found := form.fullmatch(text):
            break
    else:
        return None
    parts = found.groupdict()
    if "short_year" in parts:
        this_year = time.gmtime(now).tm_year
        year = this_year // 100 * 100 + int(parts["short_year"])
        year -= 100 if year > this_year + 50 else 0
    else:
        year = int(parts["year"])
    month, day = _MONTHS.index(parts["month"]) + 1, int(parts["day"])
    hour, minute, second = (int(parts[key]) for key in ("hour", "minute", "second"))
    # A leap second is written 60.
    if hour > 23 or minute > 59 or second > 60 or year < 1:
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return calendar.timegm((year, month, day, hour, minute, second))
