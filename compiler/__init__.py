"""Compiler: from a quantised network to a program for one Squeezelerator.

The passes, each with a form that can be looked at: :mod:`compiler.lower` (layers to machine operations),
:mod:`compiler.split` (maps too large for the buffer into channel parts), :mod:`compiler.dataflow` (OS or WS),
:mod:`compiler.schedule` (groups, bands of lines, what stays on chip), :mod:`compiler.allocate` (rows of the activation
buffer), :mod:`compiler.emit` (instructions and transfers), :mod:`compiler.order` (where in the program each transfer stands),
:mod:`compiler.sync` (tickets), :mod:`compiler.program` (the file).
"""
