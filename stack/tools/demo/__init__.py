"""`./guildhall demo`: the main story, played against a running stack by the people of the demo academy."""

from stack.tools.demo.client import DemoClient as DemoClient
from stack.tools.demo.story import play as play
