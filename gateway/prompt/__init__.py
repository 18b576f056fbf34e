"""ENGINE: which version of a prompt an exchange used.

Kept prompts are files that requests name: `template` (what a template may say), `variables` (what fills it), `kept` (one version of one
file), `library` (all of them, and where labels point), `reference` (how a request names one). Experiments give
some sessions another version: `experiment` (the file), `binding` (which versions it means), `trial` (who gets which arm). Found prompts are
what agents bring themselves: `fingerprint` (exact, and by template), `masking` and `comparing` (what is no part of the template), `pins`
(what was approved).
"""
