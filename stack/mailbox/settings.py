"""The settings of the mailbox: variables MAILBOX_*."""

from pathlib import Path

from common.settings import BaseSettings, Port


class Settings(BaseSettings, frozen=True, kw_only=True):
    """The two ports to listen on, and the folder of the mail."""

    prefix = "MAILBOX_"
    web_port: Port
    smtp_port: Port
    folder: Path
