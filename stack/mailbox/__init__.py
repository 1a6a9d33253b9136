"""Catches the stack's mail and shows it: every mail that a local Guildhall sends ends here."""
