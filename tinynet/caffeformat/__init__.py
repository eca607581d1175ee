"""Caffe's files: the wire schema, text and binary formats, and the stages' nets and solvers."""
