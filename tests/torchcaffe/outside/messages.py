"""The parameters of these layers, as in their forks' caffe.proto; this module needs no torch."""

PROTO = """
message LayerParameter {
  optional InterpParameter interp_param = 225;
  optional NormalizeParameter norm_param = 206;
  optional PermuteParameter permute_param = 202;
  optional PriorBoxParameter prior_box_param = 203;
  optional ROIPoolingParameter roi_pooling_param = 8266711;
  optional ShuffleChannelParameter shuffle_channel_param = 234;
}
message InterpParameter {
  optional int32 height = 1 [default = 0];
  optional int32 width = 2 [default = 0];
  optional int32 zoom_factor = 3 [default = 1];
  optional int32 shrink_factor = 4 [default = 1];
  optional int32 pad_beg = 5 [default = 0];
  optional int32 pad_end = 6 [default = 0];
}
message NormalizeParameter {
  optional bool across_spatial = 1 [default = true];
  optional FillerParameter scale_filler = 2;
  optional bool channel_shared = 3 [default = true];
  optional float eps = 4 [default = 1e-10];
}
message PermuteParameter {
  repeated uint32 order = 1;
}
message PriorBoxParameter {
  enum CodeType { CORNER = 1; CENTER_SIZE = 2; }
  repeated float min_size = 1;
  repeated float max_size = 2;
  repeated float aspect_ratio = 3;
  optional bool flip = 4 [default = true];
  optional bool clip = 5 [default = false];
  repeated float variance = 6;
  optional float step = 10;
  optional float offset = 13 [default = 0.5];
}
message ROIPoolingParameter {
  optional uint32 pooled_h = 1 [default = 0];
  optional uint32 pooled_w = 2 [default = 0];
  optional float spatial_scale = 3 [default = 1];
}
message ShuffleChannelParameter {
  optional uint32 group = 1 [default = 1];
}
"""
