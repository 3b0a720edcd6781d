"""The last output of a shell, and how to show it again to somebody who re-attaches."""

import re

_SCREEN_SWITCH = re.compile(rb"\x1b\[\?(?:1049|1047|47)([hl])")
_LONGEST_SWITCH = 8
_ENTER_ALTERNATE = b"\x1b[?1049h"
_FIRST_LINE_WITHIN = 8 * 1024

# Questions a program asked the terminal back then. Replayed, the terminal would answer them again, and the answers
# would arrive as typed input at whatever runs now. Device attributes and status, mode requests, XTVERSION, the
# question forms of OSC, DCS requests (XTGETTCAP, DECRQSS), and DECID.
_QUESTIONS = re.compile(
    rb"\x1b\[[>=?]?[\d;]*c"
    rb"|\x1b\[\??[\d;]*n"
    rb"|\x1b\[\??[\d;]*\$p"
    rb"|\x1b\[>[\d;]*q"
    rb"|\x1b\[\?u"
    rb"|\x1b\[(?:1[1-9]|2[01])t"
    rb"|\x1b\][\d;]*\?(?:\x07|\x1b\\)"
    rb"|\x1bP[+$]q[^\x1b]*\x1b\\"
    rb"|\x1bZ"
)


class Scrollback:
    """Keeps at least the last ``limit`` bytes and at most twice that."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._dropped = False
        self._tail = b""
        self.alternate = False
        """Whether a full-screen program has the terminal's second screen."""

    def append(self, data: bytes) -> None:
        self._follow_screen(data)
        self._kept += data
        if len(self._kept) > 2 * self._limit:
            del self._kept[: -self._limit]
            self._dropped = True

    def replay(self) -> bytes:
        """What to send to a cleared terminal so that it shows what the old one did, as far as it is kept."""
        kept = bytes(self._kept[-self._limit :])
        if self._dropped or len(self._kept) > self._limit:
            kept = _from_a_clean_start(kept)
        kept = _QUESTIONS.sub(b"", kept)
        if self.alternate and not _SCREEN_SWITCH.search(kept):
            return _ENTER_ALTERNATE + kept
        return kept

    def _follow_screen(self, data: bytes) -> None:
        """Track the switch sequences, also where one is split between two reads."""
        seen = self._tail + data
        if b"\x1b[?" in seen:
            for switch in _SCREEN_SWITCH.finditer(seen):
                self.alternate = switch[1] == b"h"
        self._tail = seen[-(_LONGEST_SWITCH - 1) :]


def _from_a_clean_start(kept: bytes) -> bytes:
    """Begin after a line end where one is near, else at least not inside a UTF-8 character."""
    line_end = kept.find(b"\n", 0, _FIRST_LINE_WITHIN)
    if line_end >= 0:
        return kept[line_end + 1 :]
    start = 0
    while start < min(3, len(kept)) and kept[start] & 0xC0 == 0x80:
        start += 1
    return kept[start:]
