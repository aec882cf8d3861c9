"""The one base class of all errors that a user can cause."""


class UserError(Exception):
    """Something that the user gave cannot be used, or what was asked for cannot be done; the message is one line.

    Classes for particular errors derive from this one and from the built-in class that fits (ValueError, RuntimeError). Commands catch
    this class alone: whatever else comes up is a defect of the project and keeps its traceback.
    """
