"""Name patterns: `*` is any text, `?` one character, nothing else is special; case counts.

Own, because `fnmatch` also reads `[…]` and folds case on some systems, and a regular expression with many
`.*` can take very long on a name that a stranger chose. This takes at most len(pattern) × len(name) steps.
"""

from __future__ import annotations


def matches(pattern: str, name: str) -> bool:
    p = n = 0
    star, resume = -1, 0
    while n < len(name):
        if p < len(pattern) and pattern[p] == "*":
            star, resume = p, n
            p += 1
        elif p < len(pattern) and pattern[p] in ("?", name[n]):
            p += 1
            n += 1
        elif star >= 0:
            resume += 1
            p, n = star + 1, resume
        else:
            return False
    return not pattern[p:].strip("*")


def overlap(one: str, other: str) -> bool:
    """Whether some name matches both patterns."""
    for name, pattern in ((one, other), (other, one)):
        if "*" not in name and "?" not in name:
            return matches(pattern, name)
    reached = [True, *(not other[:n].strip("*") for n in range(1, len(other) + 1))]
    for sign in one:
        before, reached = reached, [reached[0] and sign == "*"]
        for n, its in enumerate(other, 1):
            either = "*" in (sign, its) and (before[n] or reached[n - 1])
            reached.append(either or (before[n - 1] and (sign == its or "?" in (sign, its))))
    return reached[-1]
