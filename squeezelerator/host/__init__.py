"""The host driver: plain Python and numpy. Loads programs onto a board (or a simulated one), runs them and fetches the results."""

from squeezelerator.host.board import Board, BoardError

__all__ = ["Board", "BoardError"]
