"""Building a net: connect layers by their blobs, set them up, and decide what runs backward.

The rules are those of Caffe's ``Net::Init`` (src/caffe/net.cpp).  The result is a ``NetGraph``,
which ``net.Net`` executes.
"""

from __future__ import annotations

from typing import NamedTuple

from tinynet.caffeformat import schema
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.errors import CaffeError, check, name_layer_in_errors, report_out_of_memory
from tinynet.torchcaffe.graph.rewrites import prepare
from tinynet.torchcaffe.layer import Layer, create_layer


class Step(NamedTuple):
    """A layer and its blobs."""

    name: str
    layer: Layer
    bottom: list[Blob]
    top: list[Blob]


class NetGraph:
    """Layers and blobs of one net in one phase, connected and set up.

    Per layer (lists of equal length): ``layers``, ``layer_names``, ``bottoms``/``tops`` (blobs),
    ``bottom_ids``/``top_ids`` (their indices in ``blobs``), ``bottom_need_backward``,
    ``layer_need_backward``; and ``steps``, which is what a pass through the net needs.
    Per blob: ``blobs``, ``blob_names``, ``blob_loss_weights``. Per distinct parameter blob:
    ``learnable_params``, ``params_lr``, ``params_decay``.

    Raises CaffeError where Caffe would abort.
    """

    def __init__(self, written: schema.NetParameter) -> None:
        self.param = param = prepare(written)
        self.name: str = param.name
        self.phase: int = param.state.phase
        self.layers: list[Layer] = []
        self.layer_names: list[str] = []
        self.bottoms: list[list[Blob]] = []
        self.tops: list[list[Blob]] = []
        self.bottom_ids: list[list[int]] = []
        self.top_ids: list[list[int]] = []
        self.bottom_need_backward: list[list[bool]] = []
        self.layer_need_backward: list[bool] = []
        self.blobs: list[Blob] = []
        self.blob_names: list[str] = []
        self.blob_loss_weights: list[float] = []
        self.input_ids: list[int] = []
        self.learnable_params: list[Blob] = []
        self.params_lr: list[float] = []
        self.params_decay: list[float] = []
        self._blob_need_backward: list[bool] = []
        self._latest: dict[str, int] = {}  # blob name → index of the blob that has it now
        self._available: set[str] = set()  # tops that no layer has read yet
        # parameter's name → layer that owns it, index in that layer, index in learnable_params
        self._owners: dict[str, tuple[str, int, int]] = {}
        self._shared: list[tuple[Blob, Blob]] = []  # (parameter, the one whose memory it uses)
        self._stated: set[tuple[int, str]] = set()  # (learnable parameter, stated multiplier)
        self._memory = 0  # elements of all tops so far

        for layer_param in param.layer:
            with name_layer_in_errors(layer_param):
                self._append_layer(layer_param)
        self._skip_backward_outside_loss()
        if param.force_backward:
            self._force_backward()
        self.steps = [*map(Step, self.layer_names, self.layers, self.bottoms, self.tops)]
        self.output_ids = [self._latest[name] for name in sorted(self._available)]
        for name in sorted(self._available):
            glog.info(f"This network produces output {name}")
        glog.info("Network initialization done.")

    # --- layers and their blobs

    def _append_layer(self, param: schema.LayerParameter) -> None:
        if not param.HasField("phase"):
            param.phase = schema.Phase(self.phase)
        check(
            len(param.propagate_down) in (0, len(param.bottom)),
            f"layer {param.name}: propagate_down must be given 0 times or once per bottom; "
            f"got {len(param.propagate_down)} for {len(param.bottom)} bottoms",
        )
        # A layer may add to its own ``param``: BatchNorm sets its lr_mult to 0.  The solver uses
        # that, but the prototxt's own values, 1 by default, decide what runs backward.
        learns = [spec.lr_mult != 0 for spec in param.param]
        layer = create_layer(param, param.phase)
        glog.info(f"Creating Layer {param.name}")
        self.layers.append(layer)
        self.layer_names.append(param.name)
        need_backward = self._connect_bottoms(param)
        self._connect_tops(param, layer)
        bottom, top = self.bottoms[-1], self.tops[-1]
        with report_out_of_memory(layer.name):
            layer.set_up(bottom, top)
        glog.info(f"Setting up {param.name}")
        for top_id, blob, weight in zip(self.top_ids[-1], top, layer.loss_weights):
            self.blob_loss_weights[top_id] = weight
            dims = "".join(f"{dim} " for dim in blob.shape)
            glog.info(f"Top shape: {dims}({blob.count})")
            if weight:
                glog.info(f"    with loss weight {glog.number(weight)}")
            self._memory += blob.count
        glog.info(f"Memory required for data: {self._memory * 4}")
        check(
            len(param.param) <= len(layer.blobs),
            f"layer {param.name}: too many params specified: {len(param.param)} for "
            f"{len(layer.blobs)} parameter blob(s)",
        )
        layer.param_propagate_down = learns + [True] * (len(layer.blobs) - len(learns))
        for index in range(len(layer.blobs)):
            self._append_param(param, index)
        need_backward |= any(layer.param_propagate_down)
        self.layer_need_backward.append(need_backward)
        if need_backward:
            for top_id in self.top_ids[-1]:
                self._blob_need_backward[top_id] = True

    def _connect_bottoms(self, param: schema.LayerParameter) -> bool:
        """Find the bottoms' blobs; return whether one of them needs its diff.

        Each is there and read once: ``prepare`` has refused unknown ones and split the others.
        """
        ids = []
        for name in param.bottom:
            glog.info(f"{param.name} <- {name}")
            ids.append(self._latest[name])
            self._available.remove(name)
        needs = [self._blob_need_backward[i] for i in ids]
        self.bottom_ids.append(ids)
        self.bottoms.append([self.blobs[i] for i in ids])
        self.bottom_need_backward.append([*param.propagate_down] or needs)
        return any(needs)

    def _connect_tops(self, param: schema.LayerParameter, layer: Layer) -> None:
        ids: list[int] = []
        for index, name in enumerate(param.top):
            in_place = index < len(param.bottom) and param.bottom[index] == name
            glog.info(f"{param.name} -> {name}{' (in-place)' if in_place else ''}")
            if in_place:
                ids.append(self._latest[name])
            elif name in self._latest:
                raise CaffeError(f"top blob '{name}' is produced by multiple sources")
            else:
                ids.append(self._new_blob(name))
                self._latest[name] = ids[-1]
            self._available.add(name)
            if param.type == "Input":
                self.input_ids.append(ids[-1])
        if layer.auto_top:
            while len(ids) < layer.num_top[0]:
                ids.append(self._new_blob("(automatic)"))
        self.top_ids.append(ids)
        self.tops.append([self.blobs[i] for i in ids])

    def _new_blob(self, name: str) -> int:
        self.blobs.append(Blob())
        self.blob_names.append(name)
        self.blob_loss_weights.append(0.0)
        self._blob_need_backward.append(False)
        return len(self.blobs) - 1

    # --- parameters

    def _append_param(self, param: schema.LayerParameter, index: int) -> None:
        """Register a layer's parameter blob, which may share another's memory (AppendParam)."""
        spec = param.param[index] if index < len(param.param) else schema.ParamSpec()
        blob = self.layers[-1].blobs[index]
        if not spec.name or spec.name not in self._owners:
            learnable = len(self.learnable_params)
            if spec.name:
                self._owners[spec.name] = (param.name, index, learnable)
            self.learnable_params.append(blob)
            self.params_lr.append(spec.lr_mult)
            self.params_decay.append(spec.decay_mult)
            self._note_stated(spec, learnable)
            return
        owner_layer, owner_index, learnable = self._owners[spec.name]
        glog.info(
            f"Sharing parameters '{spec.name}' owned by layer '{owner_layer}', "
            f"param index {owner_index}"
        )
        owner = self.learnable_params[learnable]
        permissive = spec.share_mode == schema.ParamSpec.PERMISSIVE
        same = owner.count == blob.count if permissive else owner.shape == blob.shape
        check(
            same,
            f"cannot share param '{spec.name}' of layer {owner_layer} (shape "
            f"{owner.shape}) with layer {param.name} (shape {blob.shape})",
        )
        self._shared.append((blob, owner))
        blob.share_data(owner)
        blob.share_diff(owner)
        for field, values in (("lr_mult", self.params_lr), ("decay_mult", self.params_decay)):
            if schema.is_set(spec, field):
                check(
                    (learnable, field) not in self._stated
                    or values[learnable] == getattr(spec, field),
                    f"shared param '{spec.name}' has mismatched {field}: {values[learnable]} "
                    f"and {getattr(spec, field)}",
                )
                values[learnable] = getattr(spec, field)
        self._note_stated(spec, learnable)

    def share_parameters(self) -> None:
        """Let each parameter that is shared by name use its owner's memory again.

        Needed after an owner was given other memory (Net::ShareWeights).
        """
        for blob, owner in self._shared:
            blob.share_data(owner)
            blob.share_diff(owner)

    def _note_stated(self, spec: schema.ParamSpec, learnable: int) -> None:
        for field in ("lr_mult", "decay_mult"):
            if schema.is_set(spec, field):
                self._stated.add((learnable, field))

    # --- what runs backward

    def _skip_backward_outside_loss(self) -> None:
        """Skip the backward computation of layers and bottoms that contribute to no loss."""
        under_loss: set[str] = set()
        skipped: set[str] = set()
        for i in reversed(range(len(self.layers))):
            top_names = [self.blob_names[t] for t in self.top_ids[i]]
            weights = self.layers[i].loss_weights
            contributes = any(
                weight or name in under_loss for weight, name in zip(weights, top_names)
            )
            skip = all(name in skipped for name in top_names)
            needs = self.bottom_need_backward[i]
            if self.layer_need_backward[i] and skip:
                self.layer_need_backward[i] = False
                needs[:] = [False] * len(needs)
            if not contributes:
                self.layer_need_backward[i] = False
            verb = "needs" if self.layer_need_backward[i] else "does not need"
            glog.info(f"{self.layer_names[i]} {verb} backward computation.")
            for j, blob_id in enumerate(self.bottom_ids[i]):
                if contributes:
                    under_loss.add(self.blob_names[blob_id])
                else:
                    needs[j] = False
                if not needs[j]:
                    skipped.add(self.blob_names[blob_id])

    def _force_backward(self) -> None:
        for i, layer in enumerate(self.layers):
            self.layer_need_backward[i] = True
            needs = self.bottom_need_backward[i]
            for j in range(len(needs)):
                needs[j] = needs[j] or layer.allow_force_backward(j)
            layer.param_propagate_down = [True] * len(layer.blobs)
