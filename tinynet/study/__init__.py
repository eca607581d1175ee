"""Experiments made of the toolkit's own steps: each runs the commands that a person would run."""
