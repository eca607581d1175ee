"""The parameter messages of Caffe's layers, in the notation that ``fields`` explains."""

from __future__ import annotations

LAYERS = """
message TransformationParameter
  float scale=1|1
  bool mirror=2|false
  uint32 crop_size=3|0
  string mean_file=4
  repeated float mean_value=5
  bool force_color=6|false force_gray=7|false

message LossParameter
  enum NormalizationMode FULL=0 VALID=1 BATCH_SIZE=2 NONE=3
  int32 ignore_label=1
  NormalizationMode normalization=3|VALID
  bool normalize=2

message AccuracyParameter
  uint32 top_k=1|1
  int32 axis=2|1 ignore_label=3

message ArgMaxParameter
  bool out_max_val=1|false
  uint32 top_k=2|1
  int32 axis=3

message ClipParameter
  required float min=1 max=2

message ConcatParameter
  int32 axis=2|1
  uint32 concat_dim=1|1

message BatchNormParameter
  bool use_global_stats=1
  float moving_average_fraction=2|0.999 eps=3|1e-5

message BiasParameter
  int32 axis=1|1 num_axes=2|1
  FillerParameter filler=3

message ContrastiveLossParameter
  float margin=1|1
  bool legacy_version=2|false

message ConvolutionParameter
  enum Engine DEFAULT=0 CAFFE=1 CUDNN=2
  uint32 num_output=1
  bool bias_term=2|true
  repeated uint32 pad=3 kernel_size=4 stride=6 dilation=18
  uint32 pad_h=9|0 pad_w=10|0 kernel_h=11 kernel_w=12 stride_h=13 stride_w=14
  uint32 group=5|1
  FillerParameter weight_filler=7 bias_filler=8
  Engine engine=15|DEFAULT
  int32 axis=16|1
  bool force_nd_im2col=17|false

message CropParameter
  int32 axis=1|2
  repeated uint32 offset=2

message DataParameter
  enum DB LEVELDB=0 LMDB=1
  string source=1
  uint32 batch_size=4 rand_skip=7|0
  DB backend=8|LEVELDB
  float scale=2|1
  string mean_file=3
  uint32 crop_size=5|0
  bool mirror=6|false force_encoded_color=9|false
  uint32 prefetch=10|4

message DropoutParameter
  float dropout_ratio=1|0.5

message DummyDataParameter
  repeated FillerParameter data_filler=1
  repeated BlobShape shape=6
  repeated uint32 num=2 channels=3 height=4 width=5

message EltwiseParameter
  enum EltwiseOp PROD=0 SUM=1 MAX=2
  EltwiseOp operation=1|SUM
  repeated float coeff=2
  bool stable_prod_grad=3|true

message ELUParameter
  float alpha=1|1

message EmbedParameter
  uint32 num_output=1 input_dim=2
  bool bias_term=3|true
  FillerParameter weight_filler=4 bias_filler=5

message ExpParameter
  float base=1|-1 scale=2|1 shift=3|0

message FlattenParameter
  int32 axis=1|1 end_axis=2|-1

message HDF5DataParameter
  string source=1
  uint32 batch_size=2
  bool shuffle=3|false

message HDF5OutputParameter
  string file_name=1

message HingeLossParameter
  enum Norm L1=1 L2=2
  Norm norm=1|L1

message ImageDataParameter
  string source=1
  uint32 batch_size=4|1 rand_skip=7|0
  bool shuffle=8|false
  uint32 new_height=9|0 new_width=10|0
  bool is_color=11|true
  float scale=2|1
  string mean_file=3
  uint32 crop_size=5|0
  bool mirror=6|false
  string root_folder=12|

message InfogainLossParameter
  string source=1
  int32 axis=2|1

message InnerProductParameter
  uint32 num_output=1
  bool bias_term=2|true
  FillerParameter weight_filler=3 bias_filler=4
  int32 axis=5|1
  bool transpose=6|false

message InputParameter
  repeated BlobShape shape=1

message LogParameter
  float base=1|-1 scale=2|1 shift=3|0

message LRNParameter
  enum NormRegion ACROSS_CHANNELS=0 WITHIN_CHANNEL=1
  enum Engine DEFAULT=0 CAFFE=1 CUDNN=2
  uint32 local_size=1|5
  float alpha=2|1 beta=3|0.75
  NormRegion norm_region=4|ACROSS_CHANNELS
  float k=5|1
  Engine engine=6|DEFAULT

message MemoryDataParameter
  uint32 batch_size=1 channels=2 height=3 width=4

message MVNParameter
  bool normalize_variance=1|true across_channels=2|false
  float eps=3|1e-9

message ParameterParameter
  BlobShape shape=1

message PoolingParameter
  enum PoolMethod MAX=0 AVE=1 STOCHASTIC=2
  enum Engine DEFAULT=0 CAFFE=1 CUDNN=2
  enum RoundMode CEIL=0 FLOOR=1
  PoolMethod pool=1|MAX
  uint32 pad=4|0 pad_h=9|0 pad_w=10|0
  uint32 kernel_size=2 kernel_h=5 kernel_w=6
  uint32 stride=3|1 stride_h=7 stride_w=8
  Engine engine=11|DEFAULT
  bool global_pooling=12|false
  RoundMode round_mode=13|CEIL

message PowerParameter
  float power=1|1 scale=2|1 shift=3|0

message PReLUParameter
  FillerParameter filler=1
  bool channel_shared=2|false

message PythonParameter
  string module=1 layer=2 param_str=3|
  bool share_in_parallel=4|false

message RecurrentParameter
  uint32 num_output=1|0
  FillerParameter weight_filler=2 bias_filler=3
  bool debug_info=4|false expose_hidden=5|false

message ReductionParameter
  enum ReductionOp SUM=1 ASUM=2 SUMSQ=3 MEAN=4
  ReductionOp operation=1|SUM
  int32 axis=2|0
  float coeff=3|1

message ReLUParameter
  enum Engine DEFAULT=0 CAFFE=1 CUDNN=2
  float negative_slope=1|0
  Engine engine=2|DEFAULT

message ReshapeParameter
  BlobShape shape=1
  int32 axis=2|0 num_axes=3|-1

message ScaleParameter
  int32 axis=1|1 num_axes=2|1
  FillerParameter filler=3
  bool bias_term=4|false
  FillerParameter bias_filler=5

message SigmoidParameter
  enum Engine DEFAULT=0 CAFFE=1 CUDNN=2
  Engine engine=1|DEFAULT

message SliceParameter
  int32 axis=3|1
  repeated uint32 slice_point=2
  uint32 slice_dim=1|1

message SoftmaxParameter
  enum Engine DEFAULT=0 CAFFE=1 CUDNN=2
  Engine engine=1|DEFAULT
  int32 axis=2|1

message SPPParameter
  enum PoolMethod MAX=0 AVE=1 STOCHASTIC=2
  enum Engine DEFAULT=0 CAFFE=1 CUDNN=2
  uint32 pyramid_height=1
  PoolMethod pool=2|MAX
  Engine engine=6|DEFAULT

message SwishParameter
  float beta=1|1

message TanHParameter
  enum Engine DEFAULT=0 CAFFE=1 CUDNN=2
  Engine engine=1|DEFAULT

message ThresholdParameter
  float threshold=1|0

message TileParameter
  int32 axis=1|1 tiles=2

message WindowDataParameter
  string source=1
  float scale=2|1
  string mean_file=3
  uint32 batch_size=4 crop_size=5|0
  bool mirror=6|false
  float fg_threshold=7|0.5 bg_threshold=8|0.5 fg_fraction=9|0.25
  uint32 context_pad=10|0
  string crop_mode=11|warp
  bool cache_images=12|false
  string root_folder=13|
"""
