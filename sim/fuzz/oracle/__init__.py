"""The test oracle: what the functional model allows a program to do on the RTL, errors included."""
