"""The error of everything that compresses."""


class CompressError(ValueError):
    """Impossible compression settings, or a compressed file that is none; the message is one line."""
