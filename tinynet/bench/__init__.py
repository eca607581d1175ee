"""Measures tinynet on this machine, beside what a user would run instead."""
