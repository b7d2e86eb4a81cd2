"""How forward error correction sorts packets into rows and columns.

Packets are counted by their *offset*: 0 is the first of the connection in that
direction, and it never wraps. Rows are numbered from 0; so are columns' groups, and
group ``g`` lies in column ``g % columns``.

Source: libsrt packet-filtering-and-fec.md §Configuring the FEC filter.
"""

# Column groups of four columns and three rows (a letter is a group, a line is a row):
#
#        even          staircase
#      A B C D          A . . D
#      A B C D          A B . D
#      A B C D          A B C D
#      E F G H          E B C H
#      E F G H          E F C H
#      E F G H          E F G H
#
# The steps of a staircase begin anew at the top after as many columns as there are
# rows. What lies above the first steps belongs to no column.

from __future__ import annotations

import attrs

__all__ = ["FecMatrix"]


@attrs.frozen(kw_only=True)
class FecMatrix:
    """The shape that both sides agreed on."""

    columns: int
    """Packets in a row; at least 2."""
    rows: int
    """Packets in a column; 1: there are no columns."""
    protects_rows: bool = True
    """Whether rows have FEC packets."""
    staircase: bool = True
    """Whether columns begin one row after each other instead of all at once."""
    size: int = attrs.field(init=False)
    """Packets in one matrix."""
    starts: tuple[int, ...] = attrs.field(init=False, repr=False)
    """Offset of each column's first packet."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "size", self.columns * self.rows)
        object.__setattr__(
            self,
            "starts",
            tuple(
                column + (column % self.rows * self.columns if self.staircase else 0)
                for column in range(self.columns)
            ),
        )

    @property
    def protects_columns(self) -> bool:
        """Whether columns have FEC packets."""
        return self.rows > 1

    def column_group(self, offset: int) -> int | None:
        """Return the column group of a packet; None: it belongs to no column."""
        column = offset % self.columns
        start = self.starts[column]
        if offset < start or self.rows == 1:
            return None
        return (offset - start) // self.size * self.columns + column

    def row_members(self, row: int) -> range:
        """Return the offsets of a row's packets."""
        return range(row * self.columns, (row + 1) * self.columns)

    def column_members(self, group: int) -> range:
        """Return the offsets of a column group's packets."""
        series, column = divmod(group, self.columns)
        first = self.starts[column] + series * self.size
        return range(first, first + self.size, self.columns)

    def last_row(self, offset: int) -> int:
        """Return the row after which nothing more comes to recover a packet.

        That is the row in which its column ends: a packet of a column that has ended
        may still be found by its row only if that row's other losses are found.
        """
        group = self.column_group(offset)
        if group is None:
            return offset // self.columns
        return self.column_members(group)[-1] // self.columns
