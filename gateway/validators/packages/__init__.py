"""Packages that a text or a call would have installed, and whether anybody knows them: models invent names, and attackers register them.

Read from the outside in: `rule` is the validator; `calls`, `answers` and `commands` say where packages are named; `manifests` (whole
files), `fragments` (parts of them), `patches` and `scripts` read what files ask for, `installs` what commands do, with the table
`installers`; all of it comes to `wanted`. `known` judges names against lists, `lock_files` and dated lists of whole indexes (`name_list`).
"""

from gateway.validators.packages.rule import PACKAGES

__all__ = ["PACKAGES"]
