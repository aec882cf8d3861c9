"""Pictures as network inputs, class names, folders of labelled pictures."""
