"""Packages that a text or a call would install, and whether they are known ones: models invent names, and attackers register them."""
