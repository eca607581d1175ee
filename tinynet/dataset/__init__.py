"""Data sets: the Tiny ImageNet layout, the drawn set, and their LMDBs as Caffe reads them."""
