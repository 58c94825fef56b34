"""A multi-layer perceptron as flat arrays: layout, outputs, masks, importances."""
