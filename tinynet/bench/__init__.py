"""Measures this machine: the engines, and what a user would run instead, side by side."""
