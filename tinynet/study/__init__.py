"""Experiments made of the toolkit's own steps: each runs the same commands as a person would."""
