"""`./guildhall demo`: the main story, played against the running stack by the people of the demo academy."""

from stack.demo.stage import Stage as Stage
from stack.demo.story import play as play
