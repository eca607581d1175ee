"""From a trained run to its scores: crops, probabilities, metrics, ensembles, submission files."""
