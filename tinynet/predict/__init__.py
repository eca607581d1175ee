"""From a trained run to figures: crops, probabilities, metrics, ensembles, submission files."""
