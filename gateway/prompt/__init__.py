"""ENGINE: which version of a prompt an exchange used.

Kept prompts are files that requests name: `template` (what a template may say), `variables` (what fills it), `kept` (one version of one
file), `library` (all of them, and where labels point). Found prompts are what agents bring themselves: `fingerprint`.
"""
