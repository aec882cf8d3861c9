"""The error of everything that compresses."""

from squeezelerator.common.errors import UserError


class CompressError(UserError, ValueError):
    """Impossible compression settings, or a compressed file that is none; the message is one line."""
