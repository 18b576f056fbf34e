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
