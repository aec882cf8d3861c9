"""Tables that hardware, compiler, simulator and documentation share: machine, instructions, registers, program format, energy costs."""
