"""Products of a Convolution layer: by windows, and by Winograd's minimal filtering."""
