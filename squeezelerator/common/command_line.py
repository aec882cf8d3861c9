"""What all command lines share."""

import argparse


class OptionError(ValueError):
    """Options that make no sense; the message is one line."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")
