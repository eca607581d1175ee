"""One small file per layer type; each registers itself under its prototxt name."""
