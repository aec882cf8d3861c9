"""What stands around the machine: boards, and the memory behind its port."""
