"""The files that a solver writes and resumes from: weights, history, complete state."""
