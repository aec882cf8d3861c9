"""The PE array: control, loaders, processing elements."""
