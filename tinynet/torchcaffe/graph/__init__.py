"""A net before it runs: rewritten as Caffe does, connected, and with what may trade places."""
