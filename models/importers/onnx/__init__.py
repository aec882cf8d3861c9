"""ONNX files as float networks."""
