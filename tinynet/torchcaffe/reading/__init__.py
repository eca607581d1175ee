"""Reading records and images into the batches of the layers that read data."""
