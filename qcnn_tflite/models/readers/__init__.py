"""Files of weights, each opened as a mapping of tensor names to arrays; nothing here knows a network."""
