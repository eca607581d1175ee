"""Prototxt of well-known nets, written from the papers that describe them, and made narrower.

LeNet (LeCun 1998, in Caffe's form), the CIFAR-10 net of cuda-convnet ("full"), AlexNet in Caffe's
order of pooling and normalization (CaffeNet), GoogLeNet's stem, inception modules and auxiliary
classifier (Szegedy 2014), and ResNet's stem and bottleneck blocks (He 2015).
"""

from __future__ import annotations

from tests.torchcaffe.small_nets import dims, layer

_LEARN = "param { lr_mult: 1 } param { lr_mult: 2 }"


def lenet() -> str:
    fillers = 'weight_filler { type: "xavier" } bias_filler { type: "constant" }'
    return (
        _data(2, 1, 28)
        + _convolution("data", "conv1", 20, "kernel_size: 5", fillers)
        + _pool("conv1", "pool1", "MAX", "kernel_size: 2 stride: 2")
        + _convolution("pool1", "conv2", 50, "kernel_size: 5", fillers)
        + _pool("conv2", "pool2", "MAX", "kernel_size: 2 stride: 2")
        + _inner_product("pool2", "ip1", 500, fillers)
        + _relu("ip1")
        + _inner_product("ip1", "ip2", 10, fillers)
        + _ending("ip2")
    )


def cifar10_full() -> str:
    def fillers(std: float) -> str:
        return f'weight_filler {{ type: "gaussian" std: {std} }} bias_filler {{ type: "constant" }}'

    def norm(bottom: str, top: str) -> str:
        settings = "local_size: 3 alpha: 5e-05 beta: 0.75 norm_region: WITHIN_CHANNEL"
        return layer("LRN", bottom, top, f"lrn_param {{ {settings} }}", top)

    window = "kernel_size: 3 stride: 2"
    return (
        _data(2, 3, 32)
        + _convolution("data", "conv1", 32, "kernel_size: 5 pad: 2", fillers(0.1))
        + _pool("conv1", "pool1", "MAX", window)
        + _relu("pool1")
        + norm("pool1", "norm1")
        + _convolution("norm1", "conv2", 32, "kernel_size: 5 pad: 2", fillers(0.1))
        + _relu("conv2")
        + _pool("conv2", "pool2", "AVE", window)
        + norm("pool2", "norm2")
        + _convolution("norm2", "conv3", 64, "kernel_size: 5 pad: 2", fillers(0.1))
        + _relu("conv3")
        + _pool("conv3", "pool3", "AVE", window)
        + _inner_product("pool3", "ip1", 10, fillers(0.1))
        + _ending("ip1")
    )


def caffenet() -> str:
    """An eighth of the channels, on images of 131 × 131."""

    def convolution(bottom: str, top: str, outputs: int, shape: str, bias: float) -> str:
        fillers = (
            'weight_filler { type: "gaussian" std: 0.1 } '
            f'bias_filler {{ type: "constant" value: {bias} }}'
        )
        return _convolution(bottom, top, outputs // 8, shape, fillers) + _relu(top)

    def fully_connected(bottom: str, top: str) -> str:
        fillers = (
            'weight_filler { type: "gaussian" std: 0.05 } bias_filler { type: "constant" value: 1 }'
        )
        dropout = layer("Dropout", top, top, "dropout_param { dropout_ratio: 0.5 }", f"drop_{top}")
        return _inner_product(bottom, top, 256, fillers) + _relu(top) + dropout

    def pool_norm(bottom: str, number: int) -> str:
        pooled = _pool(bottom, f"pool{number}", "MAX", "kernel_size: 3 stride: 2")
        settings = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
        return pooled + layer("LRN", f"pool{number}", f"norm{number}", settings, f"norm{number}")

    return (
        _data(2, 3, 131)
        + convolution("data", "conv1", 96, "kernel_size: 11 stride: 4", 0)
        + pool_norm("conv1", 1)
        + convolution("norm1", "conv2", 256, "kernel_size: 5 pad: 2 group: 2", 1)
        + pool_norm("conv2", 2)
        + convolution("norm2", "conv3", 384, "kernel_size: 3 pad: 1", 0)
        + convolution("conv3", "conv4", 384, "kernel_size: 3 pad: 1 group: 2", 1)
        + convolution("conv4", "conv5", 256, "kernel_size: 3 pad: 1 group: 2", 1)
        + _pool("conv5", "pool5", "MAX", "kernel_size: 3 stride: 2")
        + fully_connected("pool5", "fc6")
        + fully_connected("fc6", "fc7")
        + _inner_product("fc7", "fc8", 10, 'weight_filler { type: "gaussian" std: 0.05 }')
        + _ending("fc8")
    )


def googlenet() -> str:
    """An eighth of the channels, three of the nine modules, one of the two auxiliary losses."""
    fillers = 'weight_filler { type: "xavier" } bias_filler { type: "constant" value: 0.2 }'

    def convolution(bottom: str, top: str, outputs: int, shape: str) -> str:
        return _convolution(bottom, top, outputs // 8, shape, fillers) + _relu(top)

    def inception(bottom: str, name: str, sizes: tuple[int, int, int, int, int, int]) -> str:
        one, reduce3, three, reduce5, five, projected = sizes
        return (
            convolution(bottom, f"{name}/1x1", one, "kernel_size: 1")
            + convolution(bottom, f"{name}/3x3_reduce", reduce3, "kernel_size: 1")
            + convolution(f"{name}/3x3_reduce", f"{name}/3x3", three, "kernel_size: 3 pad: 1")
            + convolution(bottom, f"{name}/5x5_reduce", reduce5, "kernel_size: 1")
            + convolution(f"{name}/5x5_reduce", f"{name}/5x5", five, "kernel_size: 5 pad: 2")
            + _pool(bottom, f"{name}/pool", "MAX", "kernel_size: 3 stride: 1 pad: 1")
            + convolution(f"{name}/pool", f"{name}/pool_proj", projected, "kernel_size: 1")
            + layer(
                "Concat",
                f"{name}/1x1 {name}/3x3 {name}/5x5 {name}/pool_proj",
                f"{name}/output",
                "",
                f"{name}/output",
            )
        )

    def norm(bottom: str, top: str) -> str:
        return layer("LRN", bottom, top, "lrn_param { local_size: 5 alpha: 0.0001 }", top)

    def dropout(blob: str, ratio: float) -> str:
        settings = f"dropout_param {{ dropout_ratio: {ratio} }}"
        return layer("Dropout", blob, blob, settings, f"{blob}/drop")

    window = "kernel_size: 3 stride: 2"
    auxiliary = (
        _pool("inception_4a/output", "loss1/ave_pool", "AVE", "kernel_size: 5 stride: 3")
        + convolution("loss1/ave_pool", "loss1/conv", 128, "kernel_size: 1")
        + _inner_product("loss1/conv", "loss1/fc", 128, fillers)
        + _relu("loss1/fc")
        + dropout("loss1/fc", 0.7)
        + _inner_product("loss1/fc", "loss1/classifier", 10, fillers)
        + _ending("loss1/classifier", "loss1/", "loss_weight: 0.3")
    )
    return (
        _data(2, 3, 112)
        + convolution("data", "conv1", 64, "kernel_size: 7 stride: 2 pad: 3")
        + _pool("conv1", "pool1", "MAX", window)
        + norm("pool1", "norm1")
        + convolution("norm1", "conv2_reduce", 64, "kernel_size: 1")
        + convolution("conv2_reduce", "conv2", 192, "kernel_size: 3 pad: 1")
        + norm("conv2", "norm2")
        + _pool("norm2", "pool2", "MAX", window)
        + inception("pool2", "inception_3a", (64, 96, 128, 16, 32, 32))
        + _pool("inception_3a/output", "pool3", "MAX", window)
        + inception("pool3", "inception_4a", (192, 96, 208, 16, 48, 64))
        + auxiliary
        + inception("inception_4a/output", "inception_4b", (160, 112, 224, 24, 64, 64))
        + _pool("inception_4b/output", "pool5", "AVE", "global_pooling: true")
        + dropout("pool5", 0.4)
        + _inner_product("pool5", "classifier", 10, fillers)
        + _ending("classifier")
    )


def resnet(
    batch_norm: str, blocks: tuple[int, ...] = (2, 2), divisor: int = 8, size: int = 64
) -> str:
    """Stages of bottleneck ``blocks``; ``batch_norm`` is the text of the BatchNormParameter.

    ResNet-50 is ``resnet("", (3, 4, 6, 3), 1, 224)``.
    """

    def convolution(bottom: str, top: str, outputs: int, shape: str, relu: bool = True) -> str:
        name = top.replace("res", "")
        settings = (
            f"convolution_param {{ num_output: {outputs // divisor} {shape} bias_term: false "
            'weight_filler { type: "msra" } }'
        )
        made = layer("Convolution", bottom, top, settings, top)
        made += layer("BatchNorm", top, top, f"batch_norm_param {{ {batch_norm} }}", f"bn{name}")
        made += layer("Scale", top, top, "scale_param { bias_term: true }", f"scale{name}")
        return made + _relu(top) if relu else made

    def block(bottom: str, name: str, width: int, stride: int, projected: bool) -> str:
        shortcut, made = bottom, ""
        if projected:
            shortcut = f"{name}_branch1"
            made = convolution(
                bottom, shortcut, 4 * width, f"kernel_size: 1 stride: {stride}", relu=False
            )
        a, b, c = (f"{name}_branch2{letter}" for letter in "abc")
        return (
            made
            + convolution(bottom, a, width, f"kernel_size: 1 stride: {stride}")
            + convolution(a, b, width, "kernel_size: 3 pad: 1")
            + convolution(b, c, 4 * width, "kernel_size: 1", relu=False)
            + layer("Eltwise", f"{shortcut} {c}", name, "", name)
            + _relu(name)
        )

    text = (
        _data(2, 3, size)
        + convolution("data", "conv1", 64, "kernel_size: 7 stride: 2 pad: 3")
        + _pool("conv1", "pool1", "MAX", "kernel_size: 3 stride: 2")
    )
    latest = "pool1"
    for stage, count in enumerate(blocks):
        for number in range(count):
            name = f"res{stage + 2}{chr(ord('a') + number)}"
            stride = 2 if stage and not number else 1
            text += block(latest, name, 64 << stage, stride, projected=not number)
            latest = name
    window = f"kernel_size: {size >> len(blocks) + 1} stride: 1"
    return (
        text
        + _pool(latest, "pool5", "AVE", window)
        + _inner_product("pool5", "fc10", 10, 'weight_filler { type: "msra" }')
        + _ending("fc10")
    )


def _data(batch: int, channels: int, size: int) -> str:
    shapes = ((batch, channels, size, size), (batch,))
    given = " ".join(f"shape {{ {dims(shape)} }}" for shape in shapes)
    return layer("Input", "", "data label", f"input_param {{ {given} }}", "data")


def _convolution(bottom: str, top: str, outputs: int, shape: str, fillers: str) -> str:
    settings = f"convolution_param {{ num_output: {outputs} {shape} {fillers} }}"
    return layer("Convolution", bottom, top, f"{_LEARN} {settings}", top)


def _inner_product(bottom: str, top: str, outputs: int, fillers: str) -> str:
    settings = f"inner_product_param {{ num_output: {outputs} {fillers} }}"
    return layer("InnerProduct", bottom, top, f"{_LEARN} {settings}", top)


def _pool(bottom: str, top: str, method: str, window: str) -> str:
    return layer("Pooling", bottom, top, f"pooling_param {{ pool: {method} {window} }}", top)


def _relu(blob: str) -> str:
    return layer("ReLU", blob, blob, "", f"{blob}/relu")


def _ending(scores: str, prefix: str = "", rest: str = "") -> str:
    return layer("SoftmaxWithLoss", f"{scores} label", f"{prefix}loss", rest, f"{prefix}loss") + (
        layer(
            "Accuracy",
            f"{scores} label",
            f"{prefix}accuracy",
            "include { phase: TEST } accuracy_param { top_k: 3 }",
            f"{prefix}accuracy",
        )
    )
