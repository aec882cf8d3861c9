"""What all command lines share."""

import argparse
from typing import NoReturn


class OptionError(ValueError):
    """Options that make no sense; the message is one line."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")
