"""The memory side: AXI4 master, instruction fetch, LOAD, STORE, unpacking of weights."""
