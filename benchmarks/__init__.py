"""Measurements of this project: what a network gains and what it costs, against what one would use instead."""
