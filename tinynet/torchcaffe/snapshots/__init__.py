"""What a solver leaves on disk and goes on from: weights, history, complete state."""
