"""Nets written in Python: pycaffe's ``NetSpec``, ``layers`` (L), ``params`` (P) and ``to_proto``.

    n = NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 3, 8, 8]))
    n.conv = L.Convolution(n.data, num_output=4, kernel_size=3)
    n.pool = L.Pooling(n.conv, pool=P.Pooling.MAX, kernel_size=2)
    print(n.to_proto())

Behaviour: ``python/caffe/net_spec.py``.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any, Callable

from google.protobuf.message import Message

from tinynet.caffeformat import schema
from tinynet.torchcaffe.proto import caffe_pb2 as caffe_pb2  # a name of pycaffe's module

_Layers = OrderedDict["Function", schema.LayerParameter]
_Names = dict[Any, str]


def param_name_dict() -> dict[str, str]:
    """Layer type → prefix of its parameter field: ``{"InnerProduct": "inner_product", …}``."""
    return {
        field.type_name[: -len("Parameter")]: field.name[: -len("_param")]
        for field in schema.fields_of(schema.LayerParameter).values()
        if field.name.endswith("_param")
    }


_param_names = param_name_dict()
"""A name of pycaffe's module, to which scripts add layer types such as Deconvolution."""


def assign_proto(proto: Message, name: str, val: Any) -> None:
    """Set field ``name`` of a message: a list for a repeated field, a dict for a message.

    A single value stands for a list of one.  Raises AttributeError if there is no such field.
    """
    field = proto.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        raise AttributeError(f"{proto.DESCRIPTOR.name} has no field '{name}'")
    if hasattr(getattr(proto, name), "extend"):
        values = val if isinstance(val, (list, tuple)) else [val]
        for value in values:
            if isinstance(value, dict):
                _assign_all(getattr(proto, name).add(), value)
            elif field.message_type is not None:
                getattr(proto, name).add().CopyFrom(value)
            else:
                getattr(proto, name).append(value)
    elif isinstance(val, dict):
        _assign_all(getattr(proto, name), val)
    elif field.message_type is not None:
        getattr(proto, name).CopyFrom(val)
    else:
        setattr(proto, name, val)


def _assign_all(proto: Message, values: dict[str, Any]) -> None:
    for name, value in values.items():
        assign_proto(proto, name, value)


class Top:
    """One output blob of a ``Function``: number ``n`` of ``fn``'s tops."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> schema.NetParameter:
        """Make a NetParameter of all layers that this top needs, with generated names."""
        return to_proto(self)

    def _to_proto(self, layers: _Layers, names: _Names, autonames: Counter[str]) -> None:
        self.fn._to_proto(layers, names, autonames)


class Function:
    """One layer: its type, its inputs (``Top``s of other layers) and its parameters.

    ``ntop`` (default 1) and ``in_place`` among the parameters are NetSpec's own.  Each other one
    goes to the layer type's parameter message if that has such a field, else to LayerParameter.
    """

    def __init__(self, type_name: str, inputs: Iterable[Any], params: dict[str, Any]) -> None:
        self.type_name = type_name
        self.inputs = tuple(inputs)
        for index, given in enumerate(self.inputs):
            if not isinstance(given, Top):
                raise TypeError(f"{type_name} input {index} is not a Top (type is {type(given)})")
        self.params = dict(params)
        self.ntop: int = self.params.pop("ntop", 1)
        self.in_place: bool = self.params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _auto_name(self, autonames: Counter[str]) -> str:
        autonames[self.type_name] += 1
        return self.type_name + str(autonames[self.type_name])

    def _name_of(self, key: Any, names: _Names, autonames: Counter[str]) -> str:
        if key not in names:
            names[key] = self._auto_name(autonames)
        return names[key]

    def _to_proto(self, layers: _Layers, names: _Names, autonames: Counter[str]) -> None:
        if self in layers:
            return
        layer = schema.LayerParameter(type=self.type_name)
        for given in self.inputs:
            given._to_proto(layers, names, autonames)
            layer.bottom.append(layers[given.fn].top[given.n])
        if self.in_place:
            layer.top.extend(layer.bottom)
        else:
            layer.top.extend(self._name_of(top, names, autonames) for top in self.tops)
        # a layer has its first top's name, unless the user named the layer itself
        key = self if self in names or not self.tops else self.tops[0]
        layer.name = self._name_of(key, names, autonames)
        for name, value in self.params.items():
            assign_proto(self._owner(layer, name), name, value)
        layers[self] = layer

    def _owner(self, layer: schema.LayerParameter, name: str) -> Message:
        """The message that has the field ``name``: the layer type's parameters, or the layer."""
        own = _param_names.get(self.type_name) or param_name_dict().get(self.type_name)
        if own is not None and not name.endswith("param"):
            message = getattr(layer, f"{own}_param")
            if name in message.DESCRIPTOR.fields_by_name:
                return message
        if name not in layer.DESCRIPTOR.fields_by_name:
            raise AttributeError(f"{self.type_name} layers have no parameter '{name}'")
        return layer


def to_proto(*tops: Top) -> schema.NetParameter:
    """Make a NetParameter of all layers that the tops need, with generated names (``Pooling1``)."""
    return _net_of(tops, {})


def _net_of(tops: Iterable[Any], names: _Names) -> schema.NetParameter:
    layers: _Layers = OrderedDict()
    autonames: Counter[str] = Counter()
    for top in tops:
        top._to_proto(layers, names, autonames)
    net = schema.NetParameter()
    net.layer.extend(layers.values())
    return net


class NoTopError(AttributeError, KeyError):
    """A KeyError as in pycaffe, and an AttributeError, which ``hasattr`` and ``copy`` expect."""

    __str__ = AttributeError.__str__


class NetSpec:
    """Tops by name, set as attributes or items; ``to_proto`` gives the net with those names."""

    tops: OrderedDict[str, Any]

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self.tops[name]
        except KeyError:
            raise NoTopError(f"the net has no top '{name}'") from None

    def __setitem__(self, key: str, value: Any) -> None:
        self.tops[key] = value

    def __getitem__(self, item: str) -> Any:
        return self.tops[item]

    def to_proto(self) -> schema.NetParameter:
        """Make a NetParameter of all layers that the tops need, in the order of assignment."""
        return _net_of(self.tops.values(), {top: name for name, top in self.tops.items()})


class Layers:
    """``layers.TYPE(bottom, …, parameter=value, …)`` makes a layer and returns its top or tops."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def layer_fn(*bottoms: Any, **params: Any) -> Any:
            function = Function(name, bottoms, params)
            if function.ntop == 0:
                return function
            return function.tops[0] if function.ntop == 1 else function.tops

        return layer_fn


class Parameters:
    """Enum values: ``params.Pooling.MAX`` is PoolingParameter's MAX."""

    def __getattr__(self, name: str) -> Any:
        return getattr(schema, f"{name}Parameter")


layers = Layers()
params = Parameters()
