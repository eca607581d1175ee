"""The command ``tinynet``: parse, call, print.  One small module per group of commands."""
