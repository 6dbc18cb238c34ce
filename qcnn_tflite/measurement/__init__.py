"""Models measured side by side, in every form that one would use: times, sizes, memory, accuracy, layers."""
