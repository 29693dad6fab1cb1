"""Compares two transcripts of the same scenario."""

import difflib
import itertools
import re

# The number of differing lines that are shown of one step.
SHOWN = 12
_ZXID = re.compile(r"zx:(-?\d+)")


class Comparison:
    """Compares two transcripts line by line.

    Zxids must be equal, apart from a drift that was already reported: when one server has used a zxid more than the
    other, all later zxids are shifted, and one report is enough.
    """

    def __init__(self):
        self.drifts = {0}

    def lines_differ(self, left, right):
        """Returns whether the zxids of two lines differ that are equal otherwise."""
        differ = False
        for a, b in zip(_ZXID.findall(left), _ZXID.findall(right)):
            drift = int(b) - int(a)
            if drift and min(int(a), int(b)) <= 0:
                # 0 and -1 have a meaning of their own. They are not counted, so they never drift.
                differ = True
            elif drift not in self.drifts:
                self.drifts.add(drift)
                differ = True
        return differ

    def step(self, left, right):
        """Returns the lines in which a step differs, as (left or None, right or None)."""
        mismatches = []
        plain = [[_ZXID.sub("zx", line) for line in side] for side in (left, right)]
        matcher = difflib.SequenceMatcher(None, *plain, autojunk=False)
        for kind, a, a_end, b, b_end in matcher.get_opcodes():
            pairs = itertools.zip_longest(left[a:a_end], right[b:b_end])
            mismatches += [pair for pair in pairs if kind != "equal" or self.lines_differ(*pair)]
        return mismatches


def compare(left, right, left_name, right_name):
    """Compares two transcripts, which are lists of (title, lines). Returns a message for each step that differs."""
    comparison, messages = Comparison(), []
    if len(left) != len(right):
        messages.append(f"{left_name} has {len(left)} steps, {right_name} {len(right)}")
    width = max(len(left_name), len(right_name))
    for (title, left_lines), (_, right_lines) in zip(left, right):
        mismatches = comparison.step(left_lines, right_lines)
        if mismatches:
            message = [title]
            for a, b in mismatches[:SHOWN]:
                message.append(f"    {left_name:>{width}}: {a if a is not None else '(nothing)'}")
                message.append(f"    {right_name:>{width}}: {b if b is not None else '(nothing)'}")
            if len(mismatches) > SHOWN:
                message.append(f"    ... and {len(mismatches) - SHOWN} more lines")
            messages.append("\n".join(message))
    return messages
