"""Where buffers lie in the activation buffer."""
