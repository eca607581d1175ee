"""Data sets: the Tiny ImageNet layout, the synthetic set, and their LMDBs as Caffe reads them."""
