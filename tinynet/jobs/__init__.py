"""Job lists: many runs over the GPUs or cores of one machine, or through a batch system."""
