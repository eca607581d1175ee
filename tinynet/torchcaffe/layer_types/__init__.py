"""One small file per layer type or tight family; each registers itself under its prototxt name."""
