"""What a solver leaves on disk and resumes from: weights, history, complete state."""
