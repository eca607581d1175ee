"""Training runs: the run directory, its log and history, snapshots, resume, and the worker."""
