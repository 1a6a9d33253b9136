"""Where the stack is installed. Standard library only."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: Python imports the stack from here, and npm installs its programs here."""
BOOTSTRAP = ROOT / "stack" / "bootstrap"
CACHE = ROOT / ".guildhall-cache"
"""What can be made again: results of lints, and the data folders that tests copy."""
