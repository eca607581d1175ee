"""Every field of every message of the schema: honoured, refused, or without effect in Caffe."""
