"""Clip, newer than Caffe 1.0: its answers need a Caffe of August 2018, as Debian's is, or later."""

from __future__ import annotations

from tests.torchcaffe.layer_cases.case import Case

CLIPS = {
    "clip": Case("Clip", "clip_param { min: -0.5 max: 0.8 }"),
    "clip from zero": Case("Clip", "clip_param { min: 0 max: 6 }"),
    "clip of nothing": Case("Clip", "clip_param { min: 1 max: -1 }"),
}
