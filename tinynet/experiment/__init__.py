"""The paper: stages, variants, hyperparameters, and the generator of their prototxt."""
