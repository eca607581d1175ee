"""Shape rules of inner products, embeddings and the recurrent layers that unroll them."""

from __future__ import annotations

from math import prod

from tinynet.caffeformat import schema
from tinynet.caffeformat.shape_rules.rule import Result, Shape, canonical, rule


@rule("InnerProduct")
def inner_product(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.inner_product_param
    axis = canonical(p.axis, bottoms[0])
    inputs = prod(bottoms[0][axis:])
    top = (*bottoms[0][:axis], p.num_output)
    weight = (inputs, p.num_output) if p.transpose else (p.num_output, inputs)
    parameters = [weight, (p.num_output,)] if p.bias_term else [weight]
    return Result([top], parameters, prod(top) * inputs)


@rule("Embed")
def embed(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.embed_param
    weight = (p.input_dim, p.num_output)
    parameters = [weight, (p.num_output,)] if p.bias_term else [weight]
    return Result([(*bottoms[0], p.num_output)], parameters)


@rule("RNN", "LSTM")
def recurrent(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.recurrent_param
    steps, streams = bottoms[0][:2]
    parts = (1 if layer.type == "RNN" else 2) if p.expose_hidden else 0
    rows = p.num_output if layer.type == "RNN" else 4 * p.num_output
    of_inputs, of_state = (rows, prod(bottoms[0][2:])), (rows, p.num_output)
    parameters: list[Shape] = [of_inputs, (rows,)]
    multiply_adds = steps * streams * (prod(of_inputs) + prod(of_state))
    if len(bottoms) > 2 + parts:
        of_static = (rows, prod(bottoms[2][1:]))
        parameters.append(of_static)
        multiply_adds += streams * prod(of_static)
    parameters.append(of_state)
    if layer.type == "RNN":
        parameters += [(rows, rows), (rows,)]
        multiply_adds += steps * streams * rows * rows
    tops = [(steps, streams, p.num_output), *[(1, streams, p.num_output)] * parts]
    return Result(tops, parameters, multiply_adds)


@rule("LSTMUnit")
def lstm_unit(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([bottoms[0]] * 2)
