# Generated from the table in fields.py by `python -m tinynet.caffeformat.schema_stub`.
# fmt: off
from collections.abc import Iterable
from typing import Literal, NewType

from google.protobuf.internal.containers import (
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper
from google.protobuf.message import Message

from tinynet.caffeformat.message_classes import FIELDS as FIELDS
from tinynet.caffeformat.message_classes import MESSAGES as MESSAGES
from tinynet.caffeformat.message_classes import Field as Field
from tinynet.caffeformat.message_classes import assign as assign
from tinynet.caffeformat.message_classes import clear as clear
from tinynet.caffeformat.message_classes import declare as declare
from tinynet.caffeformat.message_classes import fields_of as fields_of
from tinynet.caffeformat.message_classes import is_set as is_set
from tinynet.caffeformat.message_classes import load_installed as load_installed

Phase = NewType("Phase", int)
TRAIN: Phase
TEST: Phase

class NetParameter(Message):
    name: str
    @property
    def input(self) -> RepeatedScalarFieldContainer[str]: ...
    @property
    def input_shape(self) -> RepeatedCompositeFieldContainer[BlobShape]: ...
    @property
    def input_dim(self) -> RepeatedScalarFieldContainer[int]: ...
    force_backward: bool
    @property
    def state(self) -> NetState: ...
    debug_info: bool
    @property
    def layer(self) -> RepeatedCompositeFieldContainer[LayerParameter]: ...
    @property
    def layers(self) -> RepeatedCompositeFieldContainer[V1LayerParameter]: ...
    def __init__(self, *, name: str | None = ..., input: Iterable[str] | None = ...,
        input_shape: Iterable[BlobShape] | None = ..., input_dim: Iterable[int] | None = ...,
        force_backward: bool | None = ..., state: NetState | None = ...,
        debug_info: bool | None = ..., layer: Iterable[LayerParameter] | None = ...,
        layers: Iterable[V1LayerParameter] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["name", "force_backward", "state",
        "debug_info"]) -> bool: ...
    def ClearField(self, field_name: Literal["name", "input", "input_shape", "input_dim",
        "force_backward", "state", "debug_info", "layer", "layers"]) -> None: ...

class NetState(Message):
    phase: Phase
    level: int
    @property
    def stage(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(self, *, phase: Phase | None = ..., level: int | None = ...,
        stage: Iterable[str] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["phase", "level"]) -> bool: ...
    def ClearField(self, field_name: Literal["phase", "level", "stage"]) -> None: ...

class NetStateRule(Message):
    phase: Phase
    min_level: int
    max_level: int
    @property
    def stage(self) -> RepeatedScalarFieldContainer[str]: ...
    @property
    def not_stage(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(self, *, phase: Phase | None = ..., min_level: int | None = ...,
        max_level: int | None = ..., stage: Iterable[str] | None = ...,
        not_stage: Iterable[str] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["phase", "min_level", "max_level"]) -> bool: ...
    def ClearField(self, field_name: Literal["phase", "min_level", "max_level", "stage",
        "not_stage"]) -> None: ...

class LayerParameter(Message):
    name: str
    type: str
    @property
    def bottom(self) -> RepeatedScalarFieldContainer[str]: ...
    @property
    def top(self) -> RepeatedScalarFieldContainer[str]: ...
    phase: Phase
    @property
    def loss_weight(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def param(self) -> RepeatedCompositeFieldContainer[ParamSpec]: ...
    @property
    def blobs(self) -> RepeatedCompositeFieldContainer[BlobProto]: ...
    @property
    def propagate_down(self) -> RepeatedScalarFieldContainer[bool]: ...
    @property
    def include(self) -> RepeatedCompositeFieldContainer[NetStateRule]: ...
    @property
    def exclude(self) -> RepeatedCompositeFieldContainer[NetStateRule]: ...
    @property
    def transform_param(self) -> TransformationParameter: ...
    @property
    def loss_param(self) -> LossParameter: ...
    @property
    def accuracy_param(self) -> AccuracyParameter: ...
    @property
    def argmax_param(self) -> ArgMaxParameter: ...
    @property
    def batch_norm_param(self) -> BatchNormParameter: ...
    @property
    def bias_param(self) -> BiasParameter: ...
    @property
    def clip_param(self) -> ClipParameter: ...
    @property
    def concat_param(self) -> ConcatParameter: ...
    @property
    def contrastive_loss_param(self) -> ContrastiveLossParameter: ...
    @property
    def convolution_param(self) -> ConvolutionParameter: ...
    @property
    def crop_param(self) -> CropParameter: ...
    @property
    def data_param(self) -> DataParameter: ...
    @property
    def dropout_param(self) -> DropoutParameter: ...
    @property
    def dummy_data_param(self) -> DummyDataParameter: ...
    @property
    def eltwise_param(self) -> EltwiseParameter: ...
    @property
    def elu_param(self) -> ELUParameter: ...
    @property
    def embed_param(self) -> EmbedParameter: ...
    @property
    def exp_param(self) -> ExpParameter: ...
    @property
    def flatten_param(self) -> FlattenParameter: ...
    @property
    def hdf5_data_param(self) -> HDF5DataParameter: ...
    @property
    def hdf5_output_param(self) -> HDF5OutputParameter: ...
    @property
    def hinge_loss_param(self) -> HingeLossParameter: ...
    @property
    def image_data_param(self) -> ImageDataParameter: ...
    @property
    def infogain_loss_param(self) -> InfogainLossParameter: ...
    @property
    def inner_product_param(self) -> InnerProductParameter: ...
    @property
    def input_param(self) -> InputParameter: ...
    @property
    def log_param(self) -> LogParameter: ...
    @property
    def lrn_param(self) -> LRNParameter: ...
    @property
    def memory_data_param(self) -> MemoryDataParameter: ...
    @property
    def mvn_param(self) -> MVNParameter: ...
    @property
    def parameter_param(self) -> ParameterParameter: ...
    @property
    def pooling_param(self) -> PoolingParameter: ...
    @property
    def power_param(self) -> PowerParameter: ...
    @property
    def prelu_param(self) -> PReLUParameter: ...
    @property
    def python_param(self) -> PythonParameter: ...
    @property
    def recurrent_param(self) -> RecurrentParameter: ...
    @property
    def reduction_param(self) -> ReductionParameter: ...
    @property
    def relu_param(self) -> ReLUParameter: ...
    @property
    def reshape_param(self) -> ReshapeParameter: ...
    @property
    def scale_param(self) -> ScaleParameter: ...
    @property
    def sigmoid_param(self) -> SigmoidParameter: ...
    @property
    def softmax_param(self) -> SoftmaxParameter: ...
    @property
    def spp_param(self) -> SPPParameter: ...
    @property
    def slice_param(self) -> SliceParameter: ...
    @property
    def swish_param(self) -> SwishParameter: ...
    @property
    def tanh_param(self) -> TanHParameter: ...
    @property
    def threshold_param(self) -> ThresholdParameter: ...
    @property
    def tile_param(self) -> TileParameter: ...
    @property
    def window_data_param(self) -> WindowDataParameter: ...
    def __init__(self, *, name: str | None = ..., type: str | None = ...,
        bottom: Iterable[str] | None = ..., top: Iterable[str] | None = ...,
        phase: Phase | None = ..., loss_weight: Iterable[float] | None = ...,
        param: Iterable[ParamSpec] | None = ..., blobs: Iterable[BlobProto] | None = ...,
        propagate_down: Iterable[bool] | None = ..., include: Iterable[NetStateRule] | None = ...,
        exclude: Iterable[NetStateRule] | None = ...,
        transform_param: TransformationParameter | None = ...,
        loss_param: LossParameter | None = ..., accuracy_param: AccuracyParameter | None = ...,
        argmax_param: ArgMaxParameter | None = ...,
        batch_norm_param: BatchNormParameter | None = ..., bias_param: BiasParameter | None = ...,
        clip_param: ClipParameter | None = ..., concat_param: ConcatParameter | None = ...,
        contrastive_loss_param: ContrastiveLossParameter | None = ...,
        convolution_param: ConvolutionParameter | None = ...,
        crop_param: CropParameter | None = ..., data_param: DataParameter | None = ...,
        dropout_param: DropoutParameter | None = ...,
        dummy_data_param: DummyDataParameter | None = ...,
        eltwise_param: EltwiseParameter | None = ..., elu_param: ELUParameter | None = ...,
        embed_param: EmbedParameter | None = ..., exp_param: ExpParameter | None = ...,
        flatten_param: FlattenParameter | None = ...,
        hdf5_data_param: HDF5DataParameter | None = ...,
        hdf5_output_param: HDF5OutputParameter | None = ...,
        hinge_loss_param: HingeLossParameter | None = ...,
        image_data_param: ImageDataParameter | None = ...,
        infogain_loss_param: InfogainLossParameter | None = ...,
        inner_product_param: InnerProductParameter | None = ...,
        input_param: InputParameter | None = ..., log_param: LogParameter | None = ...,
        lrn_param: LRNParameter | None = ..., memory_data_param: MemoryDataParameter | None = ...,
        mvn_param: MVNParameter | None = ..., parameter_param: ParameterParameter | None = ...,
        pooling_param: PoolingParameter | None = ..., power_param: PowerParameter | None = ...,
        prelu_param: PReLUParameter | None = ..., python_param: PythonParameter | None = ...,
        recurrent_param: RecurrentParameter | None = ...,
        reduction_param: ReductionParameter | None = ..., relu_param: ReLUParameter | None = ...,
        reshape_param: ReshapeParameter | None = ..., scale_param: ScaleParameter | None = ...,
        sigmoid_param: SigmoidParameter | None = ..., softmax_param: SoftmaxParameter | None = ...,
        spp_param: SPPParameter | None = ..., slice_param: SliceParameter | None = ...,
        swish_param: SwishParameter | None = ..., tanh_param: TanHParameter | None = ...,
        threshold_param: ThresholdParameter | None = ..., tile_param: TileParameter | None = ...,
        window_data_param: WindowDataParameter | None = ...) -> None: ...
    def HasField(self, field_name: Literal["name", "type", "phase", "transform_param", "loss_param",
        "accuracy_param", "argmax_param", "batch_norm_param", "bias_param", "clip_param",
        "concat_param", "contrastive_loss_param", "convolution_param", "crop_param", "data_param",
        "dropout_param", "dummy_data_param", "eltwise_param", "elu_param", "embed_param",
        "exp_param", "flatten_param", "hdf5_data_param", "hdf5_output_param", "hinge_loss_param",
        "image_data_param", "infogain_loss_param", "inner_product_param", "input_param",
        "log_param", "lrn_param", "memory_data_param", "mvn_param", "parameter_param",
        "pooling_param", "power_param", "prelu_param", "python_param", "recurrent_param",
        "reduction_param", "relu_param", "reshape_param", "scale_param", "sigmoid_param",
        "softmax_param", "spp_param", "slice_param", "swish_param", "tanh_param", "threshold_param",
        "tile_param", "window_data_param"]) -> bool: ...
    def ClearField(self, field_name: Literal["name", "type", "bottom", "top", "phase",
        "loss_weight", "param", "blobs", "propagate_down", "include", "exclude", "transform_param",
        "loss_param", "accuracy_param", "argmax_param", "batch_norm_param", "bias_param",
        "clip_param", "concat_param", "contrastive_loss_param", "convolution_param", "crop_param",
        "data_param", "dropout_param", "dummy_data_param", "eltwise_param", "elu_param",
        "embed_param", "exp_param", "flatten_param", "hdf5_data_param", "hdf5_output_param",
        "hinge_loss_param", "image_data_param", "infogain_loss_param", "inner_product_param",
        "input_param", "log_param", "lrn_param", "memory_data_param", "mvn_param",
        "parameter_param", "pooling_param", "power_param", "prelu_param", "python_param",
        "recurrent_param", "reduction_param", "relu_param", "reshape_param", "scale_param",
        "sigmoid_param", "softmax_param", "spp_param", "slice_param", "swish_param", "tanh_param",
        "threshold_param", "tile_param", "window_data_param"]) -> None: ...

_ParamSpec_DimCheckMode = NewType("_ParamSpec_DimCheckMode", int)
class ParamSpec(Message):
    DimCheckMode: _EnumTypeWrapper[_ParamSpec_DimCheckMode]
    STRICT: _ParamSpec_DimCheckMode
    PERMISSIVE: _ParamSpec_DimCheckMode
    name: str
    share_mode: _ParamSpec_DimCheckMode
    lr_mult: float
    decay_mult: float
    def __init__(self, *, name: str | None = ..., share_mode: _ParamSpec_DimCheckMode | None = ...,
        lr_mult: float | None = ..., decay_mult: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["name", "share_mode", "lr_mult",
        "decay_mult"]) -> bool: ...
    def ClearField(self, field_name: Literal["name", "share_mode", "lr_mult",
        "decay_mult"]) -> None: ...

_FillerParameter_VarianceNorm = NewType("_FillerParameter_VarianceNorm", int)
class FillerParameter(Message):
    VarianceNorm: _EnumTypeWrapper[_FillerParameter_VarianceNorm]
    FAN_IN: _FillerParameter_VarianceNorm
    FAN_OUT: _FillerParameter_VarianceNorm
    AVERAGE: _FillerParameter_VarianceNorm
    type: str
    value: float
    min: float
    max: float
    mean: float
    std: float
    sparse: int
    variance_norm: _FillerParameter_VarianceNorm
    def __init__(self, *, type: str | None = ..., value: float | None = ...,
        min: float | None = ..., max: float | None = ..., mean: float | None = ...,
        std: float | None = ..., sparse: int | None = ...,
        variance_norm: _FillerParameter_VarianceNorm | None = ...) -> None: ...
    def HasField(self, field_name: Literal["type", "value", "min", "max", "mean", "std", "sparse",
        "variance_norm"]) -> bool: ...
    def ClearField(self, field_name: Literal["type", "value", "min", "max", "mean", "std", "sparse",
        "variance_norm"]) -> None: ...

class BlobShape(Message):
    @property
    def dim(self) -> RepeatedScalarFieldContainer[int]: ...
    def __init__(self, *, dim: Iterable[int] | None = ...) -> None: ...
    def ClearField(self, field_name: Literal["dim"]) -> None: ...

class BlobProto(Message):
    @property
    def shape(self) -> BlobShape: ...
    @property
    def data(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def diff(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def double_data(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def double_diff(self) -> RepeatedScalarFieldContainer[float]: ...
    num: int
    channels: int
    height: int
    width: int
    def __init__(self, *, shape: BlobShape | None = ..., data: Iterable[float] | None = ...,
        diff: Iterable[float] | None = ..., double_data: Iterable[float] | None = ...,
        double_diff: Iterable[float] | None = ..., num: int | None = ...,
        channels: int | None = ..., height: int | None = ..., width: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["shape", "num", "channels", "height",
        "width"]) -> bool: ...
    def ClearField(self, field_name: Literal["shape", "data", "diff", "double_data", "double_diff",
        "num", "channels", "height", "width"]) -> None: ...

class BlobProtoVector(Message):
    @property
    def blobs(self) -> RepeatedCompositeFieldContainer[BlobProto]: ...
    def __init__(self, *, blobs: Iterable[BlobProto] | None = ...) -> None: ...
    def ClearField(self, field_name: Literal["blobs"]) -> None: ...

class Datum(Message):
    channels: int
    height: int
    width: int
    data: bytes
    label: int
    @property
    def float_data(self) -> RepeatedScalarFieldContainer[float]: ...
    encoded: bool
    def __init__(self, *, channels: int | None = ..., height: int | None = ...,
        width: int | None = ..., data: bytes | None = ..., label: int | None = ...,
        float_data: Iterable[float] | None = ..., encoded: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["channels", "height", "width", "data", "label",
        "encoded"]) -> bool: ...
    def ClearField(self, field_name: Literal["channels", "height", "width", "data", "label",
        "float_data", "encoded"]) -> None: ...

_SolverParameter_SnapshotFormat = NewType("_SolverParameter_SnapshotFormat", int)
_SolverParameter_SolverMode = NewType("_SolverParameter_SolverMode", int)
_SolverParameter_SolverType = NewType("_SolverParameter_SolverType", int)
class SolverParameter(Message):
    SnapshotFormat: _EnumTypeWrapper[_SolverParameter_SnapshotFormat]
    HDF5: _SolverParameter_SnapshotFormat
    BINARYPROTO: _SolverParameter_SnapshotFormat
    SolverMode: _EnumTypeWrapper[_SolverParameter_SolverMode]
    CPU: _SolverParameter_SolverMode
    GPU: _SolverParameter_SolverMode
    SolverType: _EnumTypeWrapper[_SolverParameter_SolverType]
    SGD: _SolverParameter_SolverType
    NESTEROV: _SolverParameter_SolverType
    ADAGRAD: _SolverParameter_SolverType
    RMSPROP: _SolverParameter_SolverType
    ADADELTA: _SolverParameter_SolverType
    ADAM: _SolverParameter_SolverType
    net: str
    @property
    def net_param(self) -> NetParameter: ...
    train_net: str
    @property
    def test_net(self) -> RepeatedScalarFieldContainer[str]: ...
    @property
    def train_net_param(self) -> NetParameter: ...
    @property
    def test_net_param(self) -> RepeatedCompositeFieldContainer[NetParameter]: ...
    @property
    def train_state(self) -> NetState: ...
    @property
    def test_state(self) -> RepeatedCompositeFieldContainer[NetState]: ...
    @property
    def test_iter(self) -> RepeatedScalarFieldContainer[int]: ...
    test_interval: int
    test_compute_loss: bool
    test_initialization: bool
    type: str
    base_lr: float
    lr_policy: str
    gamma: float
    power: float
    stepsize: int
    @property
    def stepvalue(self) -> RepeatedScalarFieldContainer[int]: ...
    momentum: float
    weight_decay: float
    regularization_type: str
    clip_gradients: float
    delta: float
    momentum2: float
    rms_decay: float
    max_iter: int
    iter_size: int
    display: int
    average_loss: int
    snapshot: int
    snapshot_prefix: str
    snapshot_diff: bool
    snapshot_format: _SolverParameter_SnapshotFormat
    snapshot_after_train: bool
    solver_mode: _SolverParameter_SolverMode
    device_id: int
    random_seed: int
    debug_info: bool
    solver_type: _SolverParameter_SolverType
    layer_wise_reduce: bool
    @property
    def weights(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(self, *, net: str | None = ..., net_param: NetParameter | None = ...,
        train_net: str | None = ..., test_net: Iterable[str] | None = ...,
        train_net_param: NetParameter | None = ...,
        test_net_param: Iterable[NetParameter] | None = ..., train_state: NetState | None = ...,
        test_state: Iterable[NetState] | None = ..., test_iter: Iterable[int] | None = ...,
        test_interval: int | None = ..., test_compute_loss: bool | None = ...,
        test_initialization: bool | None = ..., type: str | None = ..., base_lr: float | None = ...,
        lr_policy: str | None = ..., gamma: float | None = ..., power: float | None = ...,
        stepsize: int | None = ..., stepvalue: Iterable[int] | None = ...,
        momentum: float | None = ..., weight_decay: float | None = ...,
        regularization_type: str | None = ..., clip_gradients: float | None = ...,
        delta: float | None = ..., momentum2: float | None = ..., rms_decay: float | None = ...,
        max_iter: int | None = ..., iter_size: int | None = ..., display: int | None = ...,
        average_loss: int | None = ..., snapshot: int | None = ...,
        snapshot_prefix: str | None = ..., snapshot_diff: bool | None = ...,
        snapshot_format: _SolverParameter_SnapshotFormat | None = ...,
        snapshot_after_train: bool | None = ...,
        solver_mode: _SolverParameter_SolverMode | None = ..., device_id: int | None = ...,
        random_seed: int | None = ..., debug_info: bool | None = ...,
        solver_type: _SolverParameter_SolverType | None = ..., layer_wise_reduce: bool | None = ...,
        weights: Iterable[str] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["net", "net_param", "train_net", "train_net_param",
        "train_state", "test_interval", "test_compute_loss", "test_initialization", "type",
        "base_lr", "lr_policy", "gamma", "power", "stepsize", "momentum", "weight_decay",
        "regularization_type", "clip_gradients", "delta", "momentum2", "rms_decay", "max_iter",
        "iter_size", "display", "average_loss", "snapshot", "snapshot_prefix", "snapshot_diff",
        "snapshot_format", "snapshot_after_train", "solver_mode", "device_id", "random_seed",
        "debug_info", "solver_type", "layer_wise_reduce"]) -> bool: ...
    def ClearField(self, field_name: Literal["net", "net_param", "train_net", "test_net",
        "train_net_param", "test_net_param", "train_state", "test_state", "test_iter",
        "test_interval", "test_compute_loss", "test_initialization", "type", "base_lr", "lr_policy",
        "gamma", "power", "stepsize", "stepvalue", "momentum", "weight_decay",
        "regularization_type", "clip_gradients", "delta", "momentum2", "rms_decay", "max_iter",
        "iter_size", "display", "average_loss", "snapshot", "snapshot_prefix", "snapshot_diff",
        "snapshot_format", "snapshot_after_train", "solver_mode", "device_id", "random_seed",
        "debug_info", "solver_type", "layer_wise_reduce", "weights"]) -> None: ...

class SolverState(Message):
    iter: int
    learned_net: str
    @property
    def history(self) -> RepeatedCompositeFieldContainer[BlobProto]: ...
    current_step: int
    def __init__(self, *, iter: int | None = ..., learned_net: str | None = ...,
        history: Iterable[BlobProto] | None = ..., current_step: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["iter", "learned_net", "current_step"]) -> bool: ...
    def ClearField(self, field_name: Literal["iter", "learned_net", "history",
        "current_step"]) -> None: ...

class TransformationParameter(Message):
    scale: float
    mirror: bool
    crop_size: int
    mean_file: str
    @property
    def mean_value(self) -> RepeatedScalarFieldContainer[float]: ...
    force_color: bool
    force_gray: bool
    def __init__(self, *, scale: float | None = ..., mirror: bool | None = ...,
        crop_size: int | None = ..., mean_file: str | None = ...,
        mean_value: Iterable[float] | None = ..., force_color: bool | None = ...,
        force_gray: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["scale", "mirror", "crop_size", "mean_file",
        "force_color", "force_gray"]) -> bool: ...
    def ClearField(self, field_name: Literal["scale", "mirror", "crop_size", "mean_file",
        "mean_value", "force_color", "force_gray"]) -> None: ...

_LossParameter_NormalizationMode = NewType("_LossParameter_NormalizationMode", int)
class LossParameter(Message):
    NormalizationMode: _EnumTypeWrapper[_LossParameter_NormalizationMode]
    FULL: _LossParameter_NormalizationMode
    VALID: _LossParameter_NormalizationMode
    BATCH_SIZE: _LossParameter_NormalizationMode
    NONE: _LossParameter_NormalizationMode
    ignore_label: int
    normalization: _LossParameter_NormalizationMode
    normalize: bool
    def __init__(self, *, ignore_label: int | None = ...,
        normalization: _LossParameter_NormalizationMode | None = ...,
        normalize: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["ignore_label", "normalization",
        "normalize"]) -> bool: ...
    def ClearField(self, field_name: Literal["ignore_label", "normalization",
        "normalize"]) -> None: ...

class AccuracyParameter(Message):
    top_k: int
    axis: int
    ignore_label: int
    def __init__(self, *, top_k: int | None = ..., axis: int | None = ...,
        ignore_label: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["top_k", "axis", "ignore_label"]) -> bool: ...
    def ClearField(self, field_name: Literal["top_k", "axis", "ignore_label"]) -> None: ...

class ArgMaxParameter(Message):
    out_max_val: bool
    top_k: int
    axis: int
    def __init__(self, *, out_max_val: bool | None = ..., top_k: int | None = ...,
        axis: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["out_max_val", "top_k", "axis"]) -> bool: ...
    def ClearField(self, field_name: Literal["out_max_val", "top_k", "axis"]) -> None: ...

class ClipParameter(Message):
    min: float
    max: float
    def __init__(self, *, min: float | None = ..., max: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["min", "max"]) -> bool: ...
    def ClearField(self, field_name: Literal["min", "max"]) -> None: ...

class ConcatParameter(Message):
    axis: int
    concat_dim: int
    def __init__(self, *, axis: int | None = ..., concat_dim: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["axis", "concat_dim"]) -> bool: ...
    def ClearField(self, field_name: Literal["axis", "concat_dim"]) -> None: ...

class BatchNormParameter(Message):
    use_global_stats: bool
    moving_average_fraction: float
    eps: float
    def __init__(self, *, use_global_stats: bool | None = ...,
        moving_average_fraction: float | None = ..., eps: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["use_global_stats", "moving_average_fraction",
        "eps"]) -> bool: ...
    def ClearField(self, field_name: Literal["use_global_stats", "moving_average_fraction",
        "eps"]) -> None: ...

class BiasParameter(Message):
    axis: int
    num_axes: int
    @property
    def filler(self) -> FillerParameter: ...
    def __init__(self, *, axis: int | None = ..., num_axes: int | None = ...,
        filler: FillerParameter | None = ...) -> None: ...
    def HasField(self, field_name: Literal["axis", "num_axes", "filler"]) -> bool: ...
    def ClearField(self, field_name: Literal["axis", "num_axes", "filler"]) -> None: ...

class ContrastiveLossParameter(Message):
    margin: float
    legacy_version: bool
    def __init__(self, *, margin: float | None = ...,
        legacy_version: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["margin", "legacy_version"]) -> bool: ...
    def ClearField(self, field_name: Literal["margin", "legacy_version"]) -> None: ...

_ConvolutionParameter_Engine = NewType("_ConvolutionParameter_Engine", int)
class ConvolutionParameter(Message):
    Engine: _EnumTypeWrapper[_ConvolutionParameter_Engine]
    DEFAULT: _ConvolutionParameter_Engine
    CAFFE: _ConvolutionParameter_Engine
    CUDNN: _ConvolutionParameter_Engine
    num_output: int
    bias_term: bool
    @property
    def pad(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def kernel_size(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def stride(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def dilation(self) -> RepeatedScalarFieldContainer[int]: ...
    pad_h: int
    pad_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    group: int
    @property
    def weight_filler(self) -> FillerParameter: ...
    @property
    def bias_filler(self) -> FillerParameter: ...
    engine: _ConvolutionParameter_Engine
    axis: int
    force_nd_im2col: bool
    def __init__(self, *, num_output: int | None = ..., bias_term: bool | None = ...,
        pad: Iterable[int] | None = ..., kernel_size: Iterable[int] | None = ...,
        stride: Iterable[int] | None = ..., dilation: Iterable[int] | None = ...,
        pad_h: int | None = ..., pad_w: int | None = ..., kernel_h: int | None = ...,
        kernel_w: int | None = ..., stride_h: int | None = ..., stride_w: int | None = ...,
        group: int | None = ..., weight_filler: FillerParameter | None = ...,
        bias_filler: FillerParameter | None = ...,
        engine: _ConvolutionParameter_Engine | None = ..., axis: int | None = ...,
        force_nd_im2col: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["num_output", "bias_term", "pad_h", "pad_w", "kernel_h",
        "kernel_w", "stride_h", "stride_w", "group", "weight_filler", "bias_filler", "engine",
        "axis", "force_nd_im2col"]) -> bool: ...
    def ClearField(self, field_name: Literal["num_output", "bias_term", "pad", "kernel_size",
        "stride", "dilation", "pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w",
        "group", "weight_filler", "bias_filler", "engine", "axis", "force_nd_im2col"]) -> None: ...

class CropParameter(Message):
    axis: int
    @property
    def offset(self) -> RepeatedScalarFieldContainer[int]: ...
    def __init__(self, *, axis: int | None = ..., offset: Iterable[int] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["axis"]) -> bool: ...
    def ClearField(self, field_name: Literal["axis", "offset"]) -> None: ...

_DataParameter_DB = NewType("_DataParameter_DB", int)
class DataParameter(Message):
    DB: _EnumTypeWrapper[_DataParameter_DB]
    LEVELDB: _DataParameter_DB
    LMDB: _DataParameter_DB
    source: str
    batch_size: int
    rand_skip: int
    backend: _DataParameter_DB
    scale: float
    mean_file: str
    crop_size: int
    mirror: bool
    force_encoded_color: bool
    prefetch: int
    def __init__(self, *, source: str | None = ..., batch_size: int | None = ...,
        rand_skip: int | None = ..., backend: _DataParameter_DB | None = ...,
        scale: float | None = ..., mean_file: str | None = ..., crop_size: int | None = ...,
        mirror: bool | None = ..., force_encoded_color: bool | None = ...,
        prefetch: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["source", "batch_size", "rand_skip", "backend", "scale",
        "mean_file", "crop_size", "mirror", "force_encoded_color", "prefetch"]) -> bool: ...
    def ClearField(self, field_name: Literal["source", "batch_size", "rand_skip", "backend",
        "scale", "mean_file", "crop_size", "mirror", "force_encoded_color",
        "prefetch"]) -> None: ...

class DropoutParameter(Message):
    dropout_ratio: float
    def __init__(self, *, dropout_ratio: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["dropout_ratio"]) -> bool: ...
    def ClearField(self, field_name: Literal["dropout_ratio"]) -> None: ...

class DummyDataParameter(Message):
    @property
    def data_filler(self) -> RepeatedCompositeFieldContainer[FillerParameter]: ...
    @property
    def shape(self) -> RepeatedCompositeFieldContainer[BlobShape]: ...
    @property
    def num(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def channels(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def height(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def width(self) -> RepeatedScalarFieldContainer[int]: ...
    def __init__(self, *, data_filler: Iterable[FillerParameter] | None = ...,
        shape: Iterable[BlobShape] | None = ..., num: Iterable[int] | None = ...,
        channels: Iterable[int] | None = ..., height: Iterable[int] | None = ...,
        width: Iterable[int] | None = ...) -> None: ...
    def ClearField(self, field_name: Literal["data_filler", "shape", "num", "channels", "height",
        "width"]) -> None: ...

_EltwiseParameter_EltwiseOp = NewType("_EltwiseParameter_EltwiseOp", int)
class EltwiseParameter(Message):
    EltwiseOp: _EnumTypeWrapper[_EltwiseParameter_EltwiseOp]
    PROD: _EltwiseParameter_EltwiseOp
    SUM: _EltwiseParameter_EltwiseOp
    MAX: _EltwiseParameter_EltwiseOp
    operation: _EltwiseParameter_EltwiseOp
    @property
    def coeff(self) -> RepeatedScalarFieldContainer[float]: ...
    stable_prod_grad: bool
    def __init__(self, *, operation: _EltwiseParameter_EltwiseOp | None = ...,
        coeff: Iterable[float] | None = ..., stable_prod_grad: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["operation", "stable_prod_grad"]) -> bool: ...
    def ClearField(self, field_name: Literal["operation", "coeff", "stable_prod_grad"]) -> None: ...

class ELUParameter(Message):
    alpha: float
    def __init__(self, *, alpha: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["alpha"]) -> bool: ...
    def ClearField(self, field_name: Literal["alpha"]) -> None: ...

class EmbedParameter(Message):
    num_output: int
    input_dim: int
    bias_term: bool
    @property
    def weight_filler(self) -> FillerParameter: ...
    @property
    def bias_filler(self) -> FillerParameter: ...
    def __init__(self, *, num_output: int | None = ..., input_dim: int | None = ...,
        bias_term: bool | None = ..., weight_filler: FillerParameter | None = ...,
        bias_filler: FillerParameter | None = ...) -> None: ...
    def HasField(self, field_name: Literal["num_output", "input_dim", "bias_term", "weight_filler",
        "bias_filler"]) -> bool: ...
    def ClearField(self, field_name: Literal["num_output", "input_dim", "bias_term",
        "weight_filler", "bias_filler"]) -> None: ...

class ExpParameter(Message):
    base: float
    scale: float
    shift: float
    def __init__(self, *, base: float | None = ..., scale: float | None = ...,
        shift: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["base", "scale", "shift"]) -> bool: ...
    def ClearField(self, field_name: Literal["base", "scale", "shift"]) -> None: ...

class FlattenParameter(Message):
    axis: int
    end_axis: int
    def __init__(self, *, axis: int | None = ..., end_axis: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["axis", "end_axis"]) -> bool: ...
    def ClearField(self, field_name: Literal["axis", "end_axis"]) -> None: ...

class HDF5DataParameter(Message):
    source: str
    batch_size: int
    shuffle: bool
    def __init__(self, *, source: str | None = ..., batch_size: int | None = ...,
        shuffle: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["source", "batch_size", "shuffle"]) -> bool: ...
    def ClearField(self, field_name: Literal["source", "batch_size", "shuffle"]) -> None: ...

class HDF5OutputParameter(Message):
    file_name: str
    def __init__(self, *, file_name: str | None = ...) -> None: ...
    def HasField(self, field_name: Literal["file_name"]) -> bool: ...
    def ClearField(self, field_name: Literal["file_name"]) -> None: ...

_HingeLossParameter_Norm = NewType("_HingeLossParameter_Norm", int)
class HingeLossParameter(Message):
    Norm: _EnumTypeWrapper[_HingeLossParameter_Norm]
    L1: _HingeLossParameter_Norm
    L2: _HingeLossParameter_Norm
    norm: _HingeLossParameter_Norm
    def __init__(self, *, norm: _HingeLossParameter_Norm | None = ...) -> None: ...
    def HasField(self, field_name: Literal["norm"]) -> bool: ...
    def ClearField(self, field_name: Literal["norm"]) -> None: ...

class ImageDataParameter(Message):
    source: str
    batch_size: int
    rand_skip: int
    shuffle: bool
    new_height: int
    new_width: int
    is_color: bool
    scale: float
    mean_file: str
    crop_size: int
    mirror: bool
    root_folder: str
    def __init__(self, *, source: str | None = ..., batch_size: int | None = ...,
        rand_skip: int | None = ..., shuffle: bool | None = ..., new_height: int | None = ...,
        new_width: int | None = ..., is_color: bool | None = ..., scale: float | None = ...,
        mean_file: str | None = ..., crop_size: int | None = ..., mirror: bool | None = ...,
        root_folder: str | None = ...) -> None: ...
    def HasField(self, field_name: Literal["source", "batch_size", "rand_skip", "shuffle",
        "new_height", "new_width", "is_color", "scale", "mean_file", "crop_size", "mirror",
        "root_folder"]) -> bool: ...
    def ClearField(self, field_name: Literal["source", "batch_size", "rand_skip", "shuffle",
        "new_height", "new_width", "is_color", "scale", "mean_file", "crop_size", "mirror",
        "root_folder"]) -> None: ...

class InfogainLossParameter(Message):
    source: str
    axis: int
    def __init__(self, *, source: str | None = ..., axis: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["source", "axis"]) -> bool: ...
    def ClearField(self, field_name: Literal["source", "axis"]) -> None: ...

class InnerProductParameter(Message):
    num_output: int
    bias_term: bool
    @property
    def weight_filler(self) -> FillerParameter: ...
    @property
    def bias_filler(self) -> FillerParameter: ...
    axis: int
    transpose: bool
    def __init__(self, *, num_output: int | None = ..., bias_term: bool | None = ...,
        weight_filler: FillerParameter | None = ..., bias_filler: FillerParameter | None = ...,
        axis: int | None = ..., transpose: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["num_output", "bias_term", "weight_filler",
        "bias_filler", "axis", "transpose"]) -> bool: ...
    def ClearField(self, field_name: Literal["num_output", "bias_term", "weight_filler",
        "bias_filler", "axis", "transpose"]) -> None: ...

class InputParameter(Message):
    @property
    def shape(self) -> RepeatedCompositeFieldContainer[BlobShape]: ...
    def __init__(self, *, shape: Iterable[BlobShape] | None = ...) -> None: ...
    def ClearField(self, field_name: Literal["shape"]) -> None: ...

class LogParameter(Message):
    base: float
    scale: float
    shift: float
    def __init__(self, *, base: float | None = ..., scale: float | None = ...,
        shift: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["base", "scale", "shift"]) -> bool: ...
    def ClearField(self, field_name: Literal["base", "scale", "shift"]) -> None: ...

_LRNParameter_NormRegion = NewType("_LRNParameter_NormRegion", int)
_LRNParameter_Engine = NewType("_LRNParameter_Engine", int)
class LRNParameter(Message):
    NormRegion: _EnumTypeWrapper[_LRNParameter_NormRegion]
    ACROSS_CHANNELS: _LRNParameter_NormRegion
    WITHIN_CHANNEL: _LRNParameter_NormRegion
    Engine: _EnumTypeWrapper[_LRNParameter_Engine]
    DEFAULT: _LRNParameter_Engine
    CAFFE: _LRNParameter_Engine
    CUDNN: _LRNParameter_Engine
    local_size: int
    alpha: float
    beta: float
    norm_region: _LRNParameter_NormRegion
    k: float
    engine: _LRNParameter_Engine
    def __init__(self, *, local_size: int | None = ..., alpha: float | None = ...,
        beta: float | None = ..., norm_region: _LRNParameter_NormRegion | None = ...,
        k: float | None = ..., engine: _LRNParameter_Engine | None = ...) -> None: ...
    def HasField(self, field_name: Literal["local_size", "alpha", "beta", "norm_region", "k",
        "engine"]) -> bool: ...
    def ClearField(self, field_name: Literal["local_size", "alpha", "beta", "norm_region", "k",
        "engine"]) -> None: ...

class MemoryDataParameter(Message):
    batch_size: int
    channels: int
    height: int
    width: int
    def __init__(self, *, batch_size: int | None = ..., channels: int | None = ...,
        height: int | None = ..., width: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["batch_size", "channels", "height",
        "width"]) -> bool: ...
    def ClearField(self, field_name: Literal["batch_size", "channels", "height",
        "width"]) -> None: ...

class MVNParameter(Message):
    normalize_variance: bool
    across_channels: bool
    eps: float
    def __init__(self, *, normalize_variance: bool | None = ..., across_channels: bool | None = ...,
        eps: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["normalize_variance", "across_channels",
        "eps"]) -> bool: ...
    def ClearField(self, field_name: Literal["normalize_variance", "across_channels",
        "eps"]) -> None: ...

class ParameterParameter(Message):
    @property
    def shape(self) -> BlobShape: ...
    def __init__(self, *, shape: BlobShape | None = ...) -> None: ...
    def HasField(self, field_name: Literal["shape"]) -> bool: ...
    def ClearField(self, field_name: Literal["shape"]) -> None: ...

_PoolingParameter_PoolMethod = NewType("_PoolingParameter_PoolMethod", int)
_PoolingParameter_Engine = NewType("_PoolingParameter_Engine", int)
_PoolingParameter_RoundMode = NewType("_PoolingParameter_RoundMode", int)
class PoolingParameter(Message):
    PoolMethod: _EnumTypeWrapper[_PoolingParameter_PoolMethod]
    MAX: _PoolingParameter_PoolMethod
    AVE: _PoolingParameter_PoolMethod
    STOCHASTIC: _PoolingParameter_PoolMethod
    Engine: _EnumTypeWrapper[_PoolingParameter_Engine]
    DEFAULT: _PoolingParameter_Engine
    CAFFE: _PoolingParameter_Engine
    CUDNN: _PoolingParameter_Engine
    RoundMode: _EnumTypeWrapper[_PoolingParameter_RoundMode]
    CEIL: _PoolingParameter_RoundMode
    FLOOR: _PoolingParameter_RoundMode
    pool: _PoolingParameter_PoolMethod
    pad: int
    pad_h: int
    pad_w: int
    kernel_size: int
    kernel_h: int
    kernel_w: int
    stride: int
    stride_h: int
    stride_w: int
    engine: _PoolingParameter_Engine
    global_pooling: bool
    round_mode: _PoolingParameter_RoundMode
    def __init__(self, *, pool: _PoolingParameter_PoolMethod | None = ..., pad: int | None = ...,
        pad_h: int | None = ..., pad_w: int | None = ..., kernel_size: int | None = ...,
        kernel_h: int | None = ..., kernel_w: int | None = ..., stride: int | None = ...,
        stride_h: int | None = ..., stride_w: int | None = ...,
        engine: _PoolingParameter_Engine | None = ..., global_pooling: bool | None = ...,
        round_mode: _PoolingParameter_RoundMode | None = ...) -> None: ...
    def HasField(self, field_name: Literal["pool", "pad", "pad_h", "pad_w", "kernel_size",
        "kernel_h", "kernel_w", "stride", "stride_h", "stride_w", "engine", "global_pooling",
        "round_mode"]) -> bool: ...
    def ClearField(self, field_name: Literal["pool", "pad", "pad_h", "pad_w", "kernel_size",
        "kernel_h", "kernel_w", "stride", "stride_h", "stride_w", "engine", "global_pooling",
        "round_mode"]) -> None: ...

class PowerParameter(Message):
    power: float
    scale: float
    shift: float
    def __init__(self, *, power: float | None = ..., scale: float | None = ...,
        shift: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["power", "scale", "shift"]) -> bool: ...
    def ClearField(self, field_name: Literal["power", "scale", "shift"]) -> None: ...

class PReLUParameter(Message):
    @property
    def filler(self) -> FillerParameter: ...
    channel_shared: bool
    def __init__(self, *, filler: FillerParameter | None = ...,
        channel_shared: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["filler", "channel_shared"]) -> bool: ...
    def ClearField(self, field_name: Literal["filler", "channel_shared"]) -> None: ...

class PythonParameter(Message):
    module: str
    layer: str
    param_str: str
    share_in_parallel: bool
    def __init__(self, *, module: str | None = ..., layer: str | None = ...,
        param_str: str | None = ..., share_in_parallel: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["module", "layer", "param_str",
        "share_in_parallel"]) -> bool: ...
    def ClearField(self, field_name: Literal["module", "layer", "param_str",
        "share_in_parallel"]) -> None: ...

class RecurrentParameter(Message):
    num_output: int
    @property
    def weight_filler(self) -> FillerParameter: ...
    @property
    def bias_filler(self) -> FillerParameter: ...
    debug_info: bool
    expose_hidden: bool
    def __init__(self, *, num_output: int | None = ..., weight_filler: FillerParameter | None = ...,
        bias_filler: FillerParameter | None = ..., debug_info: bool | None = ...,
        expose_hidden: bool | None = ...) -> None: ...
    def HasField(self, field_name: Literal["num_output", "weight_filler", "bias_filler",
        "debug_info", "expose_hidden"]) -> bool: ...
    def ClearField(self, field_name: Literal["num_output", "weight_filler", "bias_filler",
        "debug_info", "expose_hidden"]) -> None: ...

_ReductionParameter_ReductionOp = NewType("_ReductionParameter_ReductionOp", int)
class ReductionParameter(Message):
    ReductionOp: _EnumTypeWrapper[_ReductionParameter_ReductionOp]
    SUM: _ReductionParameter_ReductionOp
    ASUM: _ReductionParameter_ReductionOp
    SUMSQ: _ReductionParameter_ReductionOp
    MEAN: _ReductionParameter_ReductionOp
    operation: _ReductionParameter_ReductionOp
    axis: int
    coeff: float
    def __init__(self, *, operation: _ReductionParameter_ReductionOp | None = ...,
        axis: int | None = ..., coeff: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["operation", "axis", "coeff"]) -> bool: ...
    def ClearField(self, field_name: Literal["operation", "axis", "coeff"]) -> None: ...

_ReLUParameter_Engine = NewType("_ReLUParameter_Engine", int)
class ReLUParameter(Message):
    Engine: _EnumTypeWrapper[_ReLUParameter_Engine]
    DEFAULT: _ReLUParameter_Engine
    CAFFE: _ReLUParameter_Engine
    CUDNN: _ReLUParameter_Engine
    negative_slope: float
    engine: _ReLUParameter_Engine
    def __init__(self, *, negative_slope: float | None = ...,
        engine: _ReLUParameter_Engine | None = ...) -> None: ...
    def HasField(self, field_name: Literal["negative_slope", "engine"]) -> bool: ...
    def ClearField(self, field_name: Literal["negative_slope", "engine"]) -> None: ...

class ReshapeParameter(Message):
    @property
    def shape(self) -> BlobShape: ...
    axis: int
    num_axes: int
    def __init__(self, *, shape: BlobShape | None = ..., axis: int | None = ...,
        num_axes: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["shape", "axis", "num_axes"]) -> bool: ...
    def ClearField(self, field_name: Literal["shape", "axis", "num_axes"]) -> None: ...

class ScaleParameter(Message):
    axis: int
    num_axes: int
    @property
    def filler(self) -> FillerParameter: ...
    bias_term: bool
    @property
    def bias_filler(self) -> FillerParameter: ...
    def __init__(self, *, axis: int | None = ..., num_axes: int | None = ...,
        filler: FillerParameter | None = ..., bias_term: bool | None = ...,
        bias_filler: FillerParameter | None = ...) -> None: ...
    def HasField(self, field_name: Literal["axis", "num_axes", "filler", "bias_term",
        "bias_filler"]) -> bool: ...
    def ClearField(self, field_name: Literal["axis", "num_axes", "filler", "bias_term",
        "bias_filler"]) -> None: ...

_SigmoidParameter_Engine = NewType("_SigmoidParameter_Engine", int)
class SigmoidParameter(Message):
    Engine: _EnumTypeWrapper[_SigmoidParameter_Engine]
    DEFAULT: _SigmoidParameter_Engine
    CAFFE: _SigmoidParameter_Engine
    CUDNN: _SigmoidParameter_Engine
    engine: _SigmoidParameter_Engine
    def __init__(self, *, engine: _SigmoidParameter_Engine | None = ...) -> None: ...
    def HasField(self, field_name: Literal["engine"]) -> bool: ...
    def ClearField(self, field_name: Literal["engine"]) -> None: ...

class SliceParameter(Message):
    axis: int
    @property
    def slice_point(self) -> RepeatedScalarFieldContainer[int]: ...
    slice_dim: int
    def __init__(self, *, axis: int | None = ..., slice_point: Iterable[int] | None = ...,
        slice_dim: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["axis", "slice_dim"]) -> bool: ...
    def ClearField(self, field_name: Literal["axis", "slice_point", "slice_dim"]) -> None: ...

_SoftmaxParameter_Engine = NewType("_SoftmaxParameter_Engine", int)
class SoftmaxParameter(Message):
    Engine: _EnumTypeWrapper[_SoftmaxParameter_Engine]
    DEFAULT: _SoftmaxParameter_Engine
    CAFFE: _SoftmaxParameter_Engine
    CUDNN: _SoftmaxParameter_Engine
    engine: _SoftmaxParameter_Engine
    axis: int
    def __init__(self, *, engine: _SoftmaxParameter_Engine | None = ...,
        axis: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["engine", "axis"]) -> bool: ...
    def ClearField(self, field_name: Literal["engine", "axis"]) -> None: ...

_SPPParameter_PoolMethod = NewType("_SPPParameter_PoolMethod", int)
_SPPParameter_Engine = NewType("_SPPParameter_Engine", int)
class SPPParameter(Message):
    PoolMethod: _EnumTypeWrapper[_SPPParameter_PoolMethod]
    MAX: _SPPParameter_PoolMethod
    AVE: _SPPParameter_PoolMethod
    STOCHASTIC: _SPPParameter_PoolMethod
    Engine: _EnumTypeWrapper[_SPPParameter_Engine]
    DEFAULT: _SPPParameter_Engine
    CAFFE: _SPPParameter_Engine
    CUDNN: _SPPParameter_Engine
    pyramid_height: int
    pool: _SPPParameter_PoolMethod
    engine: _SPPParameter_Engine
    def __init__(self, *, pyramid_height: int | None = ...,
        pool: _SPPParameter_PoolMethod | None = ...,
        engine: _SPPParameter_Engine | None = ...) -> None: ...
    def HasField(self, field_name: Literal["pyramid_height", "pool", "engine"]) -> bool: ...
    def ClearField(self, field_name: Literal["pyramid_height", "pool", "engine"]) -> None: ...

class SwishParameter(Message):
    beta: float
    def __init__(self, *, beta: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["beta"]) -> bool: ...
    def ClearField(self, field_name: Literal["beta"]) -> None: ...

_TanHParameter_Engine = NewType("_TanHParameter_Engine", int)
class TanHParameter(Message):
    Engine: _EnumTypeWrapper[_TanHParameter_Engine]
    DEFAULT: _TanHParameter_Engine
    CAFFE: _TanHParameter_Engine
    CUDNN: _TanHParameter_Engine
    engine: _TanHParameter_Engine
    def __init__(self, *, engine: _TanHParameter_Engine | None = ...) -> None: ...
    def HasField(self, field_name: Literal["engine"]) -> bool: ...
    def ClearField(self, field_name: Literal["engine"]) -> None: ...

class ThresholdParameter(Message):
    threshold: float
    def __init__(self, *, threshold: float | None = ...) -> None: ...
    def HasField(self, field_name: Literal["threshold"]) -> bool: ...
    def ClearField(self, field_name: Literal["threshold"]) -> None: ...

class TileParameter(Message):
    axis: int
    tiles: int
    def __init__(self, *, axis: int | None = ..., tiles: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["axis", "tiles"]) -> bool: ...
    def ClearField(self, field_name: Literal["axis", "tiles"]) -> None: ...

class WindowDataParameter(Message):
    source: str
    scale: float
    mean_file: str
    batch_size: int
    crop_size: int
    mirror: bool
    fg_threshold: float
    bg_threshold: float
    fg_fraction: float
    context_pad: int
    crop_mode: str
    cache_images: bool
    root_folder: str
    def __init__(self, *, source: str | None = ..., scale: float | None = ...,
        mean_file: str | None = ..., batch_size: int | None = ..., crop_size: int | None = ...,
        mirror: bool | None = ..., fg_threshold: float | None = ...,
        bg_threshold: float | None = ..., fg_fraction: float | None = ...,
        context_pad: int | None = ..., crop_mode: str | None = ..., cache_images: bool | None = ...,
        root_folder: str | None = ...) -> None: ...
    def HasField(self, field_name: Literal["source", "scale", "mean_file", "batch_size",
        "crop_size", "mirror", "fg_threshold", "bg_threshold", "fg_fraction", "context_pad",
        "crop_mode", "cache_images", "root_folder"]) -> bool: ...
    def ClearField(self, field_name: Literal["source", "scale", "mean_file", "batch_size",
        "crop_size", "mirror", "fg_threshold", "bg_threshold", "fg_fraction", "context_pad",
        "crop_mode", "cache_images", "root_folder"]) -> None: ...

_V1LayerParameter_LayerType = NewType("_V1LayerParameter_LayerType", int)
_V1LayerParameter_DimCheckMode = NewType("_V1LayerParameter_DimCheckMode", int)
class V1LayerParameter(Message):
    LayerType: _EnumTypeWrapper[_V1LayerParameter_LayerType]
    NONE: _V1LayerParameter_LayerType
    ABSVAL: _V1LayerParameter_LayerType
    ACCURACY: _V1LayerParameter_LayerType
    ARGMAX: _V1LayerParameter_LayerType
    BNLL: _V1LayerParameter_LayerType
    CONCAT: _V1LayerParameter_LayerType
    CONTRASTIVE_LOSS: _V1LayerParameter_LayerType
    CONVOLUTION: _V1LayerParameter_LayerType
    DATA: _V1LayerParameter_LayerType
    DECONVOLUTION: _V1LayerParameter_LayerType
    DROPOUT: _V1LayerParameter_LayerType
    DUMMY_DATA: _V1LayerParameter_LayerType
    EUCLIDEAN_LOSS: _V1LayerParameter_LayerType
    ELTWISE: _V1LayerParameter_LayerType
    EXP: _V1LayerParameter_LayerType
    FLATTEN: _V1LayerParameter_LayerType
    HDF5_DATA: _V1LayerParameter_LayerType
    HDF5_OUTPUT: _V1LayerParameter_LayerType
    HINGE_LOSS: _V1LayerParameter_LayerType
    IM2COL: _V1LayerParameter_LayerType
    IMAGE_DATA: _V1LayerParameter_LayerType
    INFOGAIN_LOSS: _V1LayerParameter_LayerType
    INNER_PRODUCT: _V1LayerParameter_LayerType
    LRN: _V1LayerParameter_LayerType
    MEMORY_DATA: _V1LayerParameter_LayerType
    MULTINOMIAL_LOGISTIC_LOSS: _V1LayerParameter_LayerType
    MVN: _V1LayerParameter_LayerType
    POOLING: _V1LayerParameter_LayerType
    POWER: _V1LayerParameter_LayerType
    RELU: _V1LayerParameter_LayerType
    SIGMOID: _V1LayerParameter_LayerType
    SIGMOID_CROSS_ENTROPY_LOSS: _V1LayerParameter_LayerType
    SILENCE: _V1LayerParameter_LayerType
    SOFTMAX: _V1LayerParameter_LayerType
    SOFTMAX_LOSS: _V1LayerParameter_LayerType
    SPLIT: _V1LayerParameter_LayerType
    SLICE: _V1LayerParameter_LayerType
    TANH: _V1LayerParameter_LayerType
    WINDOW_DATA: _V1LayerParameter_LayerType
    THRESHOLD: _V1LayerParameter_LayerType
    DimCheckMode: _EnumTypeWrapper[_V1LayerParameter_DimCheckMode]
    STRICT: _V1LayerParameter_DimCheckMode
    PERMISSIVE: _V1LayerParameter_DimCheckMode
    @property
    def bottom(self) -> RepeatedScalarFieldContainer[str]: ...
    @property
    def top(self) -> RepeatedScalarFieldContainer[str]: ...
    name: str
    @property
    def include(self) -> RepeatedCompositeFieldContainer[NetStateRule]: ...
    @property
    def exclude(self) -> RepeatedCompositeFieldContainer[NetStateRule]: ...
    type: _V1LayerParameter_LayerType
    @property
    def blobs(self) -> RepeatedCompositeFieldContainer[BlobProto]: ...
    @property
    def param(self) -> RepeatedScalarFieldContainer[str]: ...
    @property
    def blob_share_mode(self) -> RepeatedScalarFieldContainer[_V1LayerParameter_DimCheckMode]: ...
    @property
    def blobs_lr(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def weight_decay(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def loss_weight(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def accuracy_param(self) -> AccuracyParameter: ...
    @property
    def argmax_param(self) -> ArgMaxParameter: ...
    @property
    def concat_param(self) -> ConcatParameter: ...
    @property
    def contrastive_loss_param(self) -> ContrastiveLossParameter: ...
    @property
    def convolution_param(self) -> ConvolutionParameter: ...
    @property
    def data_param(self) -> DataParameter: ...
    @property
    def dropout_param(self) -> DropoutParameter: ...
    @property
    def dummy_data_param(self) -> DummyDataParameter: ...
    @property
    def eltwise_param(self) -> EltwiseParameter: ...
    @property
    def exp_param(self) -> ExpParameter: ...
    @property
    def hdf5_data_param(self) -> HDF5DataParameter: ...
    @property
    def hdf5_output_param(self) -> HDF5OutputParameter: ...
    @property
    def hinge_loss_param(self) -> HingeLossParameter: ...
    @property
    def image_data_param(self) -> ImageDataParameter: ...
    @property
    def infogain_loss_param(self) -> InfogainLossParameter: ...
    @property
    def inner_product_param(self) -> InnerProductParameter: ...
    @property
    def lrn_param(self) -> LRNParameter: ...
    @property
    def memory_data_param(self) -> MemoryDataParameter: ...
    @property
    def mvn_param(self) -> MVNParameter: ...
    @property
    def pooling_param(self) -> PoolingParameter: ...
    @property
    def power_param(self) -> PowerParameter: ...
    @property
    def relu_param(self) -> ReLUParameter: ...
    @property
    def sigmoid_param(self) -> SigmoidParameter: ...
    @property
    def softmax_param(self) -> SoftmaxParameter: ...
    @property
    def slice_param(self) -> SliceParameter: ...
    @property
    def tanh_param(self) -> TanHParameter: ...
    @property
    def threshold_param(self) -> ThresholdParameter: ...
    @property
    def window_data_param(self) -> WindowDataParameter: ...
    @property
    def transform_param(self) -> TransformationParameter: ...
    @property
    def loss_param(self) -> LossParameter: ...
    @property
    def layer(self) -> V0LayerParameter: ...
    def __init__(self, *, bottom: Iterable[str] | None = ..., top: Iterable[str] | None = ...,
        name: str | None = ..., include: Iterable[NetStateRule] | None = ...,
        exclude: Iterable[NetStateRule] | None = ...,
        type: _V1LayerParameter_LayerType | None = ..., blobs: Iterable[BlobProto] | None = ...,
        param: Iterable[str] | None = ...,
        blob_share_mode: Iterable[_V1LayerParameter_DimCheckMode] | None = ...,
        blobs_lr: Iterable[float] | None = ..., weight_decay: Iterable[float] | None = ...,
        loss_weight: Iterable[float] | None = ..., accuracy_param: AccuracyParameter | None = ...,
        argmax_param: ArgMaxParameter | None = ..., concat_param: ConcatParameter | None = ...,
        contrastive_loss_param: ContrastiveLossParameter | None = ...,
        convolution_param: ConvolutionParameter | None = ...,
        data_param: DataParameter | None = ..., dropout_param: DropoutParameter | None = ...,
        dummy_data_param: DummyDataParameter | None = ...,
        eltwise_param: EltwiseParameter | None = ..., exp_param: ExpParameter | None = ...,
        hdf5_data_param: HDF5DataParameter | None = ...,
        hdf5_output_param: HDF5OutputParameter | None = ...,
        hinge_loss_param: HingeLossParameter | None = ...,
        image_data_param: ImageDataParameter | None = ...,
        infogain_loss_param: InfogainLossParameter | None = ...,
        inner_product_param: InnerProductParameter | None = ...,
        lrn_param: LRNParameter | None = ..., memory_data_param: MemoryDataParameter | None = ...,
        mvn_param: MVNParameter | None = ..., pooling_param: PoolingParameter | None = ...,
        power_param: PowerParameter | None = ..., relu_param: ReLUParameter | None = ...,
        sigmoid_param: SigmoidParameter | None = ..., softmax_param: SoftmaxParameter | None = ...,
        slice_param: SliceParameter | None = ..., tanh_param: TanHParameter | None = ...,
        threshold_param: ThresholdParameter | None = ...,
        window_data_param: WindowDataParameter | None = ...,
        transform_param: TransformationParameter | None = ...,
        loss_param: LossParameter | None = ..., layer: V0LayerParameter | None = ...) -> None: ...
    def HasField(self, field_name: Literal["name", "type", "accuracy_param", "argmax_param",
        "concat_param", "contrastive_loss_param", "convolution_param", "data_param",
        "dropout_param", "dummy_data_param", "eltwise_param", "exp_param", "hdf5_data_param",
        "hdf5_output_param", "hinge_loss_param", "image_data_param", "infogain_loss_param",
        "inner_product_param", "lrn_param", "memory_data_param", "mvn_param", "pooling_param",
        "power_param", "relu_param", "sigmoid_param", "softmax_param", "slice_param", "tanh_param",
        "threshold_param", "window_data_param", "transform_param", "loss_param",
        "layer"]) -> bool: ...
    def ClearField(self, field_name: Literal["bottom", "top", "name", "include", "exclude", "type",
        "blobs", "param", "blob_share_mode", "blobs_lr", "weight_decay", "loss_weight",
        "accuracy_param", "argmax_param", "concat_param", "contrastive_loss_param",
        "convolution_param", "data_param", "dropout_param", "dummy_data_param", "eltwise_param",
        "exp_param", "hdf5_data_param", "hdf5_output_param", "hinge_loss_param", "image_data_param",
        "infogain_loss_param", "inner_product_param", "lrn_param", "memory_data_param", "mvn_param",
        "pooling_param", "power_param", "relu_param", "sigmoid_param", "softmax_param",
        "slice_param", "tanh_param", "threshold_param", "window_data_param", "transform_param",
        "loss_param", "layer"]) -> None: ...

_V0LayerParameter_PoolMethod = NewType("_V0LayerParameter_PoolMethod", int)
class V0LayerParameter(Message):
    PoolMethod: _EnumTypeWrapper[_V0LayerParameter_PoolMethod]
    MAX: _V0LayerParameter_PoolMethod
    AVE: _V0LayerParameter_PoolMethod
    STOCHASTIC: _V0LayerParameter_PoolMethod
    name: str
    type: str
    num_output: int
    biasterm: bool
    @property
    def weight_filler(self) -> FillerParameter: ...
    @property
    def bias_filler(self) -> FillerParameter: ...
    pad: int
    kernelsize: int
    group: int
    stride: int
    pool: _V0LayerParameter_PoolMethod
    dropout_ratio: float
    local_size: int
    alpha: float
    beta: float
    k: float
    source: str
    scale: float
    meanfile: str
    batchsize: int
    cropsize: int
    mirror: bool
    @property
    def blobs(self) -> RepeatedCompositeFieldContainer[BlobProto]: ...
    @property
    def blobs_lr(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def weight_decay(self) -> RepeatedScalarFieldContainer[float]: ...
    rand_skip: int
    det_fg_threshold: float
    det_bg_threshold: float
    det_fg_fraction: float
    det_context_pad: int
    det_crop_mode: str
    new_num: int
    new_channels: int
    new_height: int
    new_width: int
    shuffle_images: bool
    concat_dim: int
    @property
    def hdf5_output_param(self) -> HDF5OutputParameter: ...
    def __init__(self, *, name: str | None = ..., type: str | None = ...,
        num_output: int | None = ..., biasterm: bool | None = ...,
        weight_filler: FillerParameter | None = ..., bias_filler: FillerParameter | None = ...,
        pad: int | None = ..., kernelsize: int | None = ..., group: int | None = ...,
        stride: int | None = ..., pool: _V0LayerParameter_PoolMethod | None = ...,
        dropout_ratio: float | None = ..., local_size: int | None = ..., alpha: float | None = ...,
        beta: float | None = ..., k: float | None = ..., source: str | None = ...,
        scale: float | None = ..., meanfile: str | None = ..., batchsize: int | None = ...,
        cropsize: int | None = ..., mirror: bool | None = ...,
        blobs: Iterable[BlobProto] | None = ..., blobs_lr: Iterable[float] | None = ...,
        weight_decay: Iterable[float] | None = ..., rand_skip: int | None = ...,
        det_fg_threshold: float | None = ..., det_bg_threshold: float | None = ...,
        det_fg_fraction: float | None = ..., det_context_pad: int | None = ...,
        det_crop_mode: str | None = ..., new_num: int | None = ..., new_channels: int | None = ...,
        new_height: int | None = ..., new_width: int | None = ...,
        shuffle_images: bool | None = ..., concat_dim: int | None = ...,
        hdf5_output_param: HDF5OutputParameter | None = ...) -> None: ...
    def HasField(self, field_name: Literal["name", "type", "num_output", "biasterm",
        "weight_filler", "bias_filler", "pad", "kernelsize", "group", "stride", "pool",
        "dropout_ratio", "local_size", "alpha", "beta", "k", "source", "scale", "meanfile",
        "batchsize", "cropsize", "mirror", "rand_skip", "det_fg_threshold", "det_bg_threshold",
        "det_fg_fraction", "det_context_pad", "det_crop_mode", "new_num", "new_channels",
        "new_height", "new_width", "shuffle_images", "concat_dim",
        "hdf5_output_param"]) -> bool: ...
    def ClearField(self, field_name: Literal["name", "type", "num_output", "biasterm",
        "weight_filler", "bias_filler", "pad", "kernelsize", "group", "stride", "pool",
        "dropout_ratio", "local_size", "alpha", "beta", "k", "source", "scale", "meanfile",
        "batchsize", "cropsize", "mirror", "blobs", "blobs_lr", "weight_decay", "rand_skip",
        "det_fg_threshold", "det_bg_threshold", "det_fg_fraction", "det_context_pad",
        "det_crop_mode", "new_num", "new_channels", "new_height", "new_width", "shuffle_images",
        "concat_dim", "hdf5_output_param"]) -> None: ...
