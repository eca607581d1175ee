"""Caffe's messages: the names, numbers, types and defaults of their fields.

The notation, read by ``message_classes``::

    message NAME
      enum NAME VALUE=NUMBER ...
      [repeated|packed|required] TYPE name=NUMBER[|DEFAULT] ...

A ``repeated`` field may occur any number of times, and so may a ``packed`` one, whose values are
stored together; a field without a label occurs at most once.  TYPE is a scalar type, an enum or a
message.  Fields are printed in the order of this table.

Source: Caffe's src/caffe/proto/caffe.proto (1.0 and what its master added until 2020).
"""

from __future__ import annotations

from tinynet.caffeformat.layer_fields import LAYERS

NET = """
enum Phase TRAIN=0 TEST=1

message NetParameter
  string name=1
  repeated string input=3
  repeated BlobShape input_shape=8
  repeated int32 input_dim=4
  bool force_backward=5|false
  NetState state=6
  bool debug_info=7|false
  repeated LayerParameter layer=100
  repeated V1LayerParameter layers=2

message NetState
  Phase phase=1|TEST
  int32 level=2|0
  repeated string stage=3

message NetStateRule
  Phase phase=1
  int32 min_level=2 max_level=3
  repeated string stage=4 not_stage=5

message LayerParameter
  string name=1 type=2
  repeated string bottom=3 top=4
  Phase phase=10
  repeated float loss_weight=5
  repeated ParamSpec param=6
  repeated BlobProto blobs=7
  repeated bool propagate_down=11
  repeated NetStateRule include=8 exclude=9
  TransformationParameter transform_param=100
  LossParameter loss_param=101
  AccuracyParameter accuracy_param=102
  ArgMaxParameter argmax_param=103
  BatchNormParameter batch_norm_param=139
  BiasParameter bias_param=141
  ClipParameter clip_param=148
  ConcatParameter concat_param=104
  ContrastiveLossParameter contrastive_loss_param=105
  ConvolutionParameter convolution_param=106
  CropParameter crop_param=144
  DataParameter data_param=107
  DropoutParameter dropout_param=108
  DummyDataParameter dummy_data_param=109
  EltwiseParameter eltwise_param=110
  ELUParameter elu_param=140
  EmbedParameter embed_param=137
  ExpParameter exp_param=111
  FlattenParameter flatten_param=135
  HDF5DataParameter hdf5_data_param=112
  HDF5OutputParameter hdf5_output_param=113
  HingeLossParameter hinge_loss_param=114
  ImageDataParameter image_data_param=115
  InfogainLossParameter infogain_loss_param=116
  InnerProductParameter inner_product_param=117
  InputParameter input_param=143
  LogParameter log_param=134
  LRNParameter lrn_param=118
  MemoryDataParameter memory_data_param=119
  MVNParameter mvn_param=120
  ParameterParameter parameter_param=145
  PoolingParameter pooling_param=121
  PowerParameter power_param=122
  PReLUParameter prelu_param=131
  PythonParameter python_param=130
  RecurrentParameter recurrent_param=146
  ReductionParameter reduction_param=136
  ReLUParameter relu_param=123
  ReshapeParameter reshape_param=133
  ScaleParameter scale_param=142
  SigmoidParameter sigmoid_param=124
  SoftmaxParameter softmax_param=125
  SPPParameter spp_param=132
  SliceParameter slice_param=126
  SwishParameter swish_param=147
  TanHParameter tanh_param=127
  ThresholdParameter threshold_param=128
  TileParameter tile_param=138
  WindowDataParameter window_data_param=129

message ParamSpec
  enum DimCheckMode STRICT=0 PERMISSIVE=1
  string name=1
  DimCheckMode share_mode=2
  float lr_mult=3|1 decay_mult=4|1

message FillerParameter
  enum VarianceNorm FAN_IN=0 FAN_OUT=1 AVERAGE=2
  string type=1|constant
  float value=2|0 min=3|0 max=4|1 mean=5|0 std=6|1
  int32 sparse=7|-1
  VarianceNorm variance_norm=8|FAN_IN
"""

BLOBS = """
message BlobShape
  packed int64 dim=1

message BlobProto
  BlobShape shape=7
  packed float data=5 diff=6
  packed double double_data=8 double_diff=9
  int32 num=1|0 channels=2|0 height=3|0 width=4|0

message BlobProtoVector
  repeated BlobProto blobs=1

message Datum
  int32 channels=1 height=2 width=3
  bytes data=4
  int32 label=5
  repeated float float_data=6
  bool encoded=7|false
"""

SOLVER = """
message SolverParameter
  enum SnapshotFormat HDF5=0 BINARYPROTO=1
  enum SolverMode CPU=0 GPU=1
  enum SolverType SGD=0 NESTEROV=1 ADAGRAD=2 RMSPROP=3 ADADELTA=4 ADAM=5
  string net=24
  NetParameter net_param=25
  string train_net=1
  repeated string test_net=2
  NetParameter train_net_param=21
  repeated NetParameter test_net_param=22
  NetState train_state=26
  repeated NetState test_state=27
  repeated int32 test_iter=3
  int32 test_interval=4|0
  bool test_compute_loss=19|false test_initialization=32|true
  string type=40|SGD
  float base_lr=5
  string lr_policy=8
  float gamma=9 power=10
  int32 stepsize=13
  repeated int32 stepvalue=34
  float momentum=11 weight_decay=12
  string regularization_type=29|L2
  float clip_gradients=35|-1 delta=31|1e-8 momentum2=39|0.999 rms_decay=38|0.99
  int32 max_iter=7 iter_size=36|1
  int32 display=6 average_loss=33|1
  int32 snapshot=14|0
  string snapshot_prefix=15
  bool snapshot_diff=16|false
  SnapshotFormat snapshot_format=37|BINARYPROTO
  bool snapshot_after_train=28|true
  SolverMode solver_mode=17|GPU
  int32 device_id=18|0
  int64 random_seed=20|-1
  bool debug_info=23|false
  SolverType solver_type=30|SGD
  bool layer_wise_reduce=41|true
  repeated string weights=42

message SolverState
  int32 iter=1
  string learned_net=2
  repeated BlobProto history=3
  int32 current_step=4|0
"""

# Caffe's first two net formats; models of 2013 and 2014 in them are still in use.
OLD_FORMATS = """
message V1LayerParameter
  enum LayerType NONE=0 ABSVAL=35 ACCURACY=1 ARGMAX=30 BNLL=2 CONCAT=3 CONTRASTIVE_LOSS=37
  enum LayerType CONVOLUTION=4 DATA=5 DECONVOLUTION=39 DROPOUT=6 DUMMY_DATA=32 EUCLIDEAN_LOSS=7
  enum LayerType ELTWISE=25 EXP=38 FLATTEN=8 HDF5_DATA=9 HDF5_OUTPUT=10 HINGE_LOSS=28 IM2COL=11
  enum LayerType IMAGE_DATA=12 INFOGAIN_LOSS=13 INNER_PRODUCT=14 LRN=15 MEMORY_DATA=29
  enum LayerType MULTINOMIAL_LOGISTIC_LOSS=16 MVN=34 POOLING=17 POWER=26 RELU=18 SIGMOID=19
  enum LayerType SIGMOID_CROSS_ENTROPY_LOSS=27 SILENCE=36 SOFTMAX=20 SOFTMAX_LOSS=21 SPLIT=22
  enum LayerType SLICE=33 TANH=23 WINDOW_DATA=24 THRESHOLD=31
  enum DimCheckMode STRICT=0 PERMISSIVE=1
  repeated string bottom=2 top=3
  string name=4
  repeated NetStateRule include=32 exclude=33
  LayerType type=5
  repeated BlobProto blobs=6
  repeated string param=1001
  repeated DimCheckMode blob_share_mode=1002
  repeated float blobs_lr=7 weight_decay=8 loss_weight=35
  AccuracyParameter accuracy_param=27
  ArgMaxParameter argmax_param=23
  ConcatParameter concat_param=9
  ContrastiveLossParameter contrastive_loss_param=40
  ConvolutionParameter convolution_param=10
  DataParameter data_param=11
  DropoutParameter dropout_param=12
  DummyDataParameter dummy_data_param=26
  EltwiseParameter eltwise_param=24
  ExpParameter exp_param=41
  HDF5DataParameter hdf5_data_param=13
  HDF5OutputParameter hdf5_output_param=14
  HingeLossParameter hinge_loss_param=29
  ImageDataParameter image_data_param=15
  InfogainLossParameter infogain_loss_param=16
  InnerProductParameter inner_product_param=17
  LRNParameter lrn_param=18
  MemoryDataParameter memory_data_param=22
  MVNParameter mvn_param=34
  PoolingParameter pooling_param=19
  PowerParameter power_param=21
  ReLUParameter relu_param=30
  SigmoidParameter sigmoid_param=38
  SoftmaxParameter softmax_param=39
  SliceParameter slice_param=31
  TanHParameter tanh_param=37
  ThresholdParameter threshold_param=25
  WindowDataParameter window_data_param=20
  TransformationParameter transform_param=36
  LossParameter loss_param=42
  V0LayerParameter layer=1

message V0LayerParameter
  enum PoolMethod MAX=0 AVE=1 STOCHASTIC=2
  string name=1 type=2
  uint32 num_output=3
  bool biasterm=4|true
  FillerParameter weight_filler=5 bias_filler=6
  uint32 pad=7|0 kernelsize=8 group=9|1 stride=10|1
  PoolMethod pool=11|MAX
  float dropout_ratio=12|0.5
  uint32 local_size=13|5
  float alpha=14|1 beta=15|0.75 k=22|1
  string source=16
  float scale=17|1
  string meanfile=18
  uint32 batchsize=19 cropsize=20|0
  bool mirror=21|false
  repeated BlobProto blobs=50
  repeated float blobs_lr=51 weight_decay=52
  uint32 rand_skip=53|0
  float det_fg_threshold=54|0.5 det_bg_threshold=55|0.5 det_fg_fraction=56|0.25
  uint32 det_context_pad=58|0
  string det_crop_mode=59|warp
  int32 new_num=60|0 new_channels=61|0 new_height=62|0 new_width=63|0
  bool shuffle_images=64|false
  uint32 concat_dim=65|1
  HDF5OutputParameter hdf5_output_param=1001
"""

ALL = NET + BLOBS + SOLVER + LAYERS + OLD_FORMATS
