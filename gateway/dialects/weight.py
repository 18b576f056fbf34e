"""How much there is to read in a JSON text, told without reading it.

Bytes do not tell what a text costs: 32 MiB of one string are parsed in a tenth of a second, 32 MiB of `[[[[…` in a minute, in which a
worker answers nobody. What costs is each array, object and member, and, ten times less, each value. So they are counted first, and piece by
piece, so that whoever counts can let others go on in between.

The count is that of a JSON text's marks outside its strings: `[`, `{` and `:` are `objects`, `,` are `values`. In a text that is not JSON
it is right up to the place where a parser stops reading.
"""

from __future__ import annotations

_ESCAPE = b"\\"


class Scale:
    """Takes the pieces of one text, cut anywhere."""

    __slots__ = ("_escaping", "_in_string", "objects", "values")

    def __init__(self) -> None:
        self.objects = 0
        """Arrays, objects and members of objects."""
        self.values = 0
        """Commas: elements and members that stand beside others."""
        self._in_string = self._escaping = False

    def add(self, piece: bytes) -> None:
        if self._escaping and piece:
            piece, self._escaping = piece[1:], False
        if (len(piece) - len(piece.rstrip(_ESCAPE))) % 2:
            piece, self._escaping = piece[:-1], True
        if _ESCAPE in piece:
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = piece.split(b'"')
        outside = b"".join(parts[self._in_string :: 2])
        self._in_string ^= len(parts) % 2 == 0
        self.objects += outside.count(b"[") + outside.count(b"{") + outside.count(b":")
        self.values += outside.count(b",")
